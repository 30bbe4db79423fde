"""How busy the pools of connections are, for a scrape."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from tenantmesh.runtime.database.pool import Pool

__all__ = ["pool_metrics"]


def pool_metrics(pools: Mapping[str, Pool]) -> list[Metric]:
    """Return metric families with the door of each pool as their label."""
    in_use = GaugeMetricFamily("tenantmesh_database_connections", "Connections in use.", labels=["door"])
    waiting = GaugeMetricFamily("tenantmesh_database_waiting", "Callers who wait for a connection.", labels=["door"])
    without = CounterMetricFamily(
        "tenantmesh_database_without_connection", "Callers who got no connection, by why.", labels=["door", "event"]
    )
    for door, pool in pools.items():
        in_use.add_metric([door], pool.in_use)
        waiting.add_metric([door], pool.waiting)
        without.add_metric([door, "refused"], pool.counts.refused)
        without.add_metric([door, "expired"], pool.counts.expired)
    return [in_use, waiting, without]
