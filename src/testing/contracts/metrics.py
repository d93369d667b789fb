"""What every keeper of metrics promises."""

from collections.abc import Callable

import pytest

from encola.application.ports import Metrics

Read = Callable[..., float]


class MetricsContract:
    """The promise of :class:`~encola.application.ports.Metrics`. Subclass it and give the fixtures.

    ``read(name, **labels)`` returns a counter, a gauge, or how many durations were noted; 0 when
    nothing was.
    """

    @pytest.fixture
    def metrics(self) -> Metrics:
        """Return metrics that nothing was noted in."""
        raise NotImplementedError("return empty metrics")

    @pytest.fixture
    def read(self) -> Read:
        """Return what reads ``metrics`` back."""
        raise NotImplementedError("return a function of name and labels")

    def test_counting_adds_one(self, metrics: Metrics, read: Read) -> None:
        for _ in range(3):
            metrics.count("encola_jobs_registered_total", type="report")

        assert read("encola_jobs_registered_total", type="report") == 3

    def test_labels_are_counted_apart(self, metrics: Metrics, read: Read) -> None:
        for status in ("failed", "completed", "failed"):
            metrics.count("encola_jobs_finished_total", type="report", status=status)

        assert read("encola_jobs_finished_total", type="report", status="failed") == 2
        assert read("encola_jobs_finished_total", status="completed", type="report") == 1
        assert read("encola_jobs_finished_total", type="report", status="expired") == 0

    def test_durations_are_noted(self, metrics: Metrics, read: Read) -> None:
        for seconds in (0.0, 0.25, 4000.0):
            metrics.observe("encola_job_run_seconds", seconds, type="report")

        assert read("encola_job_run_seconds", type="report") == 3

    def test_a_gauge_moves_up_and_down(self, metrics: Metrics, read: Read) -> None:
        for by in (1, 1, -1, 3):
            metrics.change("encola_watchers", by, transport="sse")

        assert read("encola_watchers", transport="sse") == 4

    def test_labels_are_optional(self, metrics: Metrics, read: Read) -> None:
        metrics.change("encola_jobs_running", 1)

        assert read("encola_jobs_running") == 1

    def test_no_caller_ever_fails(self, metrics: Metrics) -> None:
        metrics.count("nobody_knows_this", colour="red")
        metrics.count("not a name at all ñ", odd="label")
        metrics.count("encola_jobs_registered_total")
        metrics.count("encola_jobs_registered_total", other="label")
        metrics.count("encola_jobs_running")
        metrics.observe("encola_watchers", 1.0, transport="sse")
        metrics.observe("encola_job_run_seconds", float("nan"), type="report")
        metrics.change("encola_jobs_finished_total", -1, type="report", status="failed")
