"""Puts the worker together. The only file here that constructs things."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from tenantmesh.chassis.doors import Doors
from tenantmesh.chassis.jobs.queue import SETTINGS, JobQueue
from tenantmesh.chassis.jobs.settings import WorkerSettings
from tenantmesh.interceptors.backends.redis.quota_pool import RedisQuotaPool
from tenantmesh.runtime import redis_client, row_security
from tenantmesh.runtime.database import Database, connect
from tenantmesh.runtime.database.pool import RawConnection
from tenantmesh.runtime.telemetry import Telemetry
from tenantmesh.tenant_svc.allowances.pool import PoolReader
from tenantmesh.tenant_svc.entitlements.entitlements import Pooled
from tenantmesh.tenant_svc.plan_changes.executor import PlanChangeExecutor
from tenantmesh.tenant_svc.plan_changes.jobs import PlanChangeJobs
from tenantmesh.tenant_svc.plan_changes.plan_changes import PLAN_CHANGE_JOB
from tenantmesh.tenant_svc.schema import OUTAGE, SCHEMA
from tenantmesh.tenant_svc.tables import metadata

__all__ = ["WorkerApp"]


class WorkerApp:
    """The parts of the worker, each made once and given what it needs."""

    def __init__(
        self,
        settings: WorkerSettings,
        telemetry: Telemetry,
        make_executor: Callable[[Doors, Pooled | None], PlanChangeExecutor] = PlanChangeExecutor,
    ) -> None:
        self._settings = settings
        self._database = Database(settings.database, schema=SCHEMA)
        # Without a store, units that lie ready in it count as used: too careful, never too generous.
        self._redis = None if settings.redis.url is None else redis_client.connect(settings.redis)
        pooled = None if self._redis is None else PoolReader(RedisQuotaPool(self._redis))
        handlers = {PLAN_CHANGE_JOB: PlanChangeJobs(make_executor(Doors(self._database, OUTAGE), pooled))}
        self.queue = JobQueue(self._connect_queue, handlers, settings.worker)
        telemetry.collector(self._metrics)

    async def start(self) -> None:
        """Opens what working needs, and begins. Raises InsecureDatabase, DatabaseError, or what is wrong with the
        queue: do not work."""
        await self._database.open()
        await row_security.verify(self._database, metadata, package="tenantmesh.tenant_svc")
        await self.queue.start()

    async def close(self) -> None:
        """Ends everything in reverse order, also what was never started."""
        await self.queue.close()
        if self._redis is not None:
            await self._redis.aclose()
        await self._database.close()

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
