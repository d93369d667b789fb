"""What is measured and traced; OpenTelemetry is loaded by whoever asks for it."""

from encola.adapters.telemetry.child_ids import ChildIds
from encola.adapters.telemetry.prometheus import PrometheusMetrics

__all__ = ["ChildIds", "PrometheusMetrics"]
