"""Puts the worker together. The only file here that constructs things."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from tenantmesh.chassis.capability import Capability, jobs_of
from tenantmesh.chassis.doors import Doors
from tenantmesh.chassis.jobs.queue import SETTINGS, JobQueue
from tenantmesh.chassis.jobs.settings import WorkerSettings
from tenantmesh.chassis.lifecycle import Lifecycle, Part
from tenantmesh.chassis.settings import EventSettings
from tenantmesh.interceptors.backends.redis.quota_pool import RedisQuotaPool
from tenantmesh.runtime import redis_client, row_security
from tenantmesh.runtime.database import Database, connect
from tenantmesh.runtime.database.pool import RawConnection
from tenantmesh.runtime.telemetry import Telemetry
from tenantmesh.tenant_svc.capabilities import TenantCapabilities
from tenantmesh.tenant_svc.resources import TenantResources
from tenantmesh.tenant_svc.schema import OUTAGE, SCHEMA
from tenantmesh.tenant_svc.settings import LifeSettings, QuotaSettings
from tenantmesh.tenant_svc.tables import metadata

__all__ = ["WorkerApp"]


def every_capability(resources: TenantResources) -> Sequence[Capability]:
    """Return the capabilities of tenant_svc."""
    return TenantCapabilities(resources).all


class WorkerApp:
    """The parts of the worker: it runs the jobs and the followers of the capabilities.

    Its start raises InsecureDatabase, DatabaseError, or what is wrong with the queue: do not work.
    """

    def __init__(
        self,
        settings: WorkerSettings,
        telemetry: Telemetry,
        capabilities: Callable[[TenantResources], Sequence[Capability]] = every_capability,
    ) -> None:
        self._settings = settings
        self._database = Database(settings.database, schema=SCHEMA)
        # Without a store, units in it count as used: too careful, never too generous.
        redis = None if settings.redis.url is None else redis_client.connect(settings.redis)
        if redis is not None:
            telemetry.counters("tenantmesh_store", redis.stats)
        resources = TenantResources(
            database=self._database,
            doors=Doors(self._database, OUTAGE),
            # Servers alone follow the logs and delete old rows; a worker starts no background of a capability.
            events=EventSettings(),
            quotas=QuotaSettings(),
            tenants=LifeSettings(),
            pool=None if redis is None else RedisQuotaPool(redis),
        )
        built = capabilities(resources)
        age = settings.database.max_connection_age
        self.queue = JobQueue(self._connect_queue, jobs_of(built), settings.worker, age, telemetry.jobs)
        telemetry.collector(self._metrics)
        telemetry.collector(self._database.metrics)
        life = Lifecycle(
            [
                Part(start=self._database.open, close=self._database.close),
                Part(start=self._verify),
                Part(close=None if redis is None else redis.aclose),
                *(follower for capability in built for follower in capability.followers),
                self.queue,
            ]
        )
        self.start, self.close = life.start, life.close

    async def _verify(self) -> None:
        await row_security.verify(self._database, metadata, package="tenantmesh.tenant_svc")

    async def _connect_queue(self) -> RawConnection:
        database = self._settings.database
        return await connect(
            self._settings.worker.queue_url,
            timeout=database.connect_timeout.total_seconds(),
            command_timeout=database.command_timeout.total_seconds(),
            search_path=f"{SETTINGS.db_schema}, pg_catalog",
        )

    def _metrics(self) -> Iterable[Metric]:
        attempts = CounterMetricFamily(
            "tenantmesh_job_attempts",
            "Attempts at jobs, by the kind of job and how it went.",
            labels=["job", "outcome"],
        )
        for (kind, outcome), count in list(self.queue.outcomes.items()):
            attempts.add_metric([kind, outcome], count)
        return [attempts, GaugeMetricFamily("tenantmesh_jobs_running", "Jobs under way.", value=self.queue.running)]
