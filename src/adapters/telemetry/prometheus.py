"""Metrics in the Prometheus format."""

import logging
from dataclasses import dataclass
from typing import TypeAlias, TypeVar, cast

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from encola.application.ports import Metrics

logger = logging.getLogger(__name__)

Metric: TypeAlias = Counter | Gauge | Histogram
T = TypeVar("T", Counter, Gauge, Histogram)

NAMES_REFUSED = 100
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)


@dataclass(frozen=True, slots=True)
class Described:
    """What a metric is: its kind, a sentence for whoever reads it, and its labels."""

    kind: type[Metric]
    documentation: str
    labels: tuple[str, ...] = ()


CATALOGUE = {
    "encola_jobs_registered_total": Described(Counter, "Jobs accepted.", ("type",)),
    "encola_jobs_finished_total": Described(Counter, "Jobs that ended.", ("type", "status")),
    "encola_job_run_seconds": Described(Histogram, "From the last claim of a job to its end.", ("type",)),
    "encola_job_queue_wait_seconds": Described(Histogram, "From due to claimed.", ("type",)),
    "encola_jobs_running": Described(Gauge, "Jobs that run in this process now."),
    "encola_watchers": Described(Gauge, "Watchers connected to this process now.", ("transport",)),
    "encola_service_calls_total": Described(
        Counter, "Calls to other services.", ("service", "operation", "outcome")
    ),
    "encola_service_call_seconds": Described(
        Histogram, "Calls to other services, all attempts together.", ("service", "operation")
    ),
    "encola_service_call_retries_total": Described(
        Counter, "Attempts of calls after the first.", ("service", "operation", "reason")
    ),
    "encola_service_call_retries_withheld_total": Described(
        Counter, "Attempts of calls that could have been repeated and were not.", ("service", "reason")
    ),
    "encola_service_circuit_changes_total": Described(
        Counter, "Changes of a service's circuit as this process sees it.", ("service", "state")
    ),
    "encola_service_cache_total": Described(
        Counter, "Calls that may be answered from the cache, by what answered.", ("operation", "source")
    ),
    "encola_service_probes_total": Described(
        Counter, "Probes of other services' health, by this process.", ("service", "outcome")
    ),
    "encola_notes_dropped_total": Described(
        Counter, "Notes to other services that did not arrive.", ("service", "operation", "reason")
    ),
}


class PrometheusMetrics(Metrics):
    """The metrics of the catalogue, in a registry of their own.

    What is not in the catalogue, or is used otherwise than described there, is left out and logged
    once by name.
    """

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._metrics: dict[str, Metric] = {}
        self._children: dict[tuple[object, ...], Metric] = {}
        self._refused: set[str] = set()

    def count(self, name: str, **labels: str) -> None:
        child = self._child(name, labels, Counter)
        if child is not None:
            child.inc()

    def observe(self, name: str, seconds: float, **labels: str) -> None:
        child = self._child(name, labels, Histogram)
        if child is not None:
            child.observe(seconds)

    def change(self, name: str, by: int, **labels: str) -> None:
        child = self._child(name, labels, Gauge)
        if child is not None:
            child.inc(by)

    def render(self) -> bytes:
        """Return everything in the text format that Prometheus scrapes."""
        return generate_latest(self._registry)

    def _child(self, name: str, labels: dict[str, str], kind: type[T]) -> T | None:
        """Return the metric with these labels; finding it by Prometheus' own way costs ten times more."""
        key = (name, kind, *labels.items())
        child = self._children.get(key)
        if child is None:
            child = self._described(name, labels, kind)
            if child is not None:
                self._children[key] = child
        return cast("T | None", child)

    def _described(self, name: str, labels: dict[str, str], kind: type[Metric]) -> Metric | None:
        described = CATALOGUE.get(name)
        if described is None or described.kind is not kind or set(described.labels) != set(labels):
            self._refuse(name)
            return None
        metric = self._metrics.get(name) or self._create(name, described)
        return metric.labels(**labels) if labels else metric

    def _create(self, name: str, described: Described) -> Metric:
        text, labels = described.documentation, described.labels
        if described.kind is Histogram:
            metric: Metric = Histogram(name, text, labels, registry=self._registry, buckets=_BUCKETS)
        else:
            metric = described.kind(name, text, labels, registry=self._registry)
        self._metrics[name] = metric
        return metric

    def _refuse(self, name: str) -> None:
        if name not in self._refused and len(self._refused) < NAMES_REFUSED:
            self._refused.add(name)
            logger.warning("metric %s is not in the catalogue with these labels; it is left out", name)
