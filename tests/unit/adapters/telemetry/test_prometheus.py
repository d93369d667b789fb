"""Metrics for Prometheus keep what the port promises, and can be scraped."""

import logging
from collections.abc import Callable

import pytest
from prometheus_client.parser import text_string_to_metric_families

from encola.adapters.telemetry import PrometheusMetrics
from encola.testing import contracts


def scraped(metrics: PrometheusMetrics) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Return all samples, as Prometheus would read them."""
    families = text_string_to_metric_families(metrics.render().decode())
    samples = (sample for family in families for sample in family.samples)
    return {(sample.name, frozenset(sample.labels.items())): sample.value for sample in samples}


class TestPrometheusMetrics(contracts.MetricsContract):
    @pytest.fixture
    def metrics(self) -> PrometheusMetrics:
        return PrometheusMetrics()

    @pytest.fixture
    def read(self, metrics: PrometheusMetrics) -> Callable[..., float]:
        def read(name: str, **labels: str) -> float:
            samples, wanted = scraped(metrics), frozenset(labels.items())
            return samples.get((name, wanted), samples.get((f"{name}_count", wanted), 0))

        return read


def test_every_metric_of_the_catalogue_can_be_noted() -> None:
    metrics = PrometheusMetrics()
    metrics.count("encola_jobs_registered_total", type="a")
    metrics.count("encola_jobs_finished_total", type="a", status="failed")
    metrics.count("encola_service_calls_total", service="agent", operation="rag_query", outcome="ok")
    metrics.observe("encola_job_run_seconds", 1, type="a")
    metrics.observe("encola_job_queue_wait_seconds", 1, type="a")
    metrics.observe("encola_service_call_seconds", 1, service="agent", operation="rag_query")
    metrics.change("encola_jobs_running", 1)
    metrics.change("encola_watchers", 1, transport="websocket")

    names = {name for name, _ in scraped(metrics)}
    assert {
        "encola_jobs_registered_total",
        "encola_jobs_finished_total",
        "encola_service_calls_total",
        "encola_job_run_seconds_count",
        "encola_job_queue_wait_seconds_sum",
        "encola_service_call_seconds_bucket",
        "encola_jobs_running",
        "encola_watchers",
    } <= names


def test_durations_are_added_up() -> None:
    metrics = PrometheusMetrics()
    metrics.observe("encola_job_run_seconds", 0.5, type="a")
    metrics.observe("encola_job_run_seconds", 2.0, type="a")

    assert scraped(metrics)["encola_job_run_seconds_sum", frozenset({("type", "a")})] == 2.5


def test_two_instances_share_nothing() -> None:
    one, other = PrometheusMetrics(), PrometheusMetrics()
    one.change("encola_jobs_running", 1)

    assert other.render() == b""


def test_what_is_not_in_the_catalogue_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    metrics = PrometheusMetrics()
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            metrics.count("nobody_knows_this")

    assert [record.args for record in caplog.records] == [("nobody_knows_this",)]
    assert metrics.render() == b""
