"""Puts the worker together. The only file here that constructs things."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from runtime import row_security
from runtime.database import Database, connect
from runtime.database.pool import RawConnection
from runtime.telemetry import Telemetry
from tenant_svc.doors import Doors
from tenant_svc.operations.queue import MIGRATE_TENANT_PLAN
from tenant_svc.operations.steps import MigrationSteps
from tenant_svc.schema import SCHEMA, metadata
from tenant_svc.worker.migrating import MigrationJobs
from tenant_svc.worker.queue import SETTINGS, JobQueue
from tenant_svc.worker.settings import WorkerSettings

__all__ = ["WorkerApp"]


class WorkerApp:
    """The parts of the worker, each made once and given what it needs."""

    def __init__(
        self,
        settings: WorkerSettings,
        telemetry: Telemetry,
        make_steps: Callable[[Doors], MigrationSteps] = MigrationSteps,
    ) -> None:
        self._settings = settings
        self._database = Database(settings.database, schema=SCHEMA)
        handlers = {MIGRATE_TENANT_PLAN: MigrationJobs(make_steps(Doors(self._database)))}
        self.queue = JobQueue(self._connect_queue, handlers, settings.worker)
        telemetry.collector(self._metrics)

    async def start(self) -> None:
        """Opens what working needs, and begins. Raises InsecureDatabase, DatabaseError, or what is wrong with the
        queue: do not work."""
        await self._database.open()
        await row_security.verify(self._database, metadata, package="tenant_svc")
        await self.queue.start()

    async def close(self) -> None:
        """Ends everything in reverse order, also what was never started."""
        await self.queue.close()
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
