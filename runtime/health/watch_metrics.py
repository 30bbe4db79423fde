"""How many watches of health are open, and how many were refused, for a scrape."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from tenantmesh.runtime.health.places import WatchPlaces

__all__ = ["watch_metrics"]


def watch_metrics(places: Mapping[str, WatchPlaces]) -> list[Metric]:
    """Return metric families with the port of each number of places as their label."""
    now = GaugeMetricFamily("tenantmesh_health_watches", "Open watches of health.", labels=["port"])
    refused = CounterMetricFamily(
        "tenantmesh_health_watches_refused", "Watches of health for which there was no place.", labels=["port"]
    )
    for port, counted in places.items():
        now.add_metric([port], counted.taken)
        refused.add_metric([port], counted.refused)
    return [now, refused]
