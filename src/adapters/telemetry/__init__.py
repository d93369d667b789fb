"""What is measured, for those who scrape it."""

from encola.adapters.telemetry.prometheus import PrometheusMetrics

__all__ = ["PrometheusMetrics"]
