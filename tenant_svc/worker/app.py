"""Puts the worker together. The only file here that constructs things."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import grpc
import structlog
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from tenantmesh.chassis.capability import Capability, jobs_of
from tenantmesh.chassis.doors import Doors
from tenantmesh.chassis.erasure import ErasureDoor
from tenantmesh.chassis.jobs.queue import SETTINGS, JobQueue
from tenantmesh.chassis.lifecycle import Lifecycle, Part
from tenantmesh.chassis.settings import EventSettings
from tenantmesh.interceptors.backends.redis.quota_pool import RedisQuotaPool
from tenantmesh.interceptors.client import Credential, channel, tls_credentials
from tenantmesh.runtime import redis_client, row_security
from tenantmesh.runtime.database import Database, connect
from tenantmesh.runtime.database.pool import RawConnection
from tenantmesh.runtime.encryption import read_kek
from tenantmesh.runtime.redis_client import StoreClient
from tenantmesh.runtime.telemetry import Telemetry
from tenantmesh.tenant_svc.capabilities import TenantCapabilities
from tenantmesh.tenant_svc.resources import PurgeResources, TenantResources
from tenantmesh.tenant_svc.schema import OUTAGE, SCHEMA
from tenantmesh.tenant_svc.settings import QuotaSettings, TenantWorkerSettings
from tenantmesh.tenant_svc.tables import metadata

__all__ = ["WorkerApp"]

_log = structlog.get_logger("tenantmesh.worker")


def every_capability(resources: TenantResources) -> Sequence[Capability]:
    """Return the capabilities of tenant_svc."""
    return TenantCapabilities(resources).all


def _purging(settings: TenantWorkerSettings) -> PurgeResources | None:
    """Return what the worker purges tenants with; None for a worker that purges none. Raises KekRefused."""
    own, queue_url = settings.purge, settings.worker.queue_url
    if not settings.purges or own.database_url is None or own.kek_file is None:
        _log.warning(
            "this worker purges no tenants: it lacks a database role, a key file, a key for auth_svc or a store"
        )
        return None
    queue = settings.database.model_copy(update={"url": queue_url, "system_url": None, "pool_size": 1})
    return PurgeResources(
        erasing=ErasureDoor(own.database_url, settings.database, metadata, OUTAGE),
        queue=Database(queue, schema=str(SETTINGS.db_schema)),
        kek=read_kek(own.kek_file, "TENANTMESH_PURGE_KEK_FILE"),
        settings=own,
    )


class WorkerApp:
    """The parts of the worker: it runs the jobs and the followers of the capabilities.

    Its start raises InsecureDatabase, DatabaseError, or what is wrong with the queue: do not work.
    """

    def __init__(
        self,
        settings: TenantWorkerSettings,
        telemetry: Telemetry,
        capabilities: Callable[[TenantResources], Sequence[Capability]] = every_capability,
    ) -> None:
        self._settings = settings
        self._database = Database(settings.database, schema=SCHEMA)
        # Without a store, units in it count as used: too careful, never too generous.
        redis = None if settings.redis.url is None else redis_client.connect(settings.redis)
        if redis is not None:
            telemetry.counters("tenantmesh_store", redis.stats)
        built = capabilities(self._resources(redis))
        self._collected = [collect for capability in built for collect in capability.metrics]
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
                *(part for capability in built for part in capability.beside_jobs),
                self.queue,
            ]
        )
        self.start, self.close = life.start, life.close

    def _resources(self, redis: StoreClient | None) -> TenantResources:
        return TenantResources(
            database=self._database,
            doors=Doors(self._database, OUTAGE),
            # Servers alone follow the logs and delete old rows; a worker starts no background of a capability.
            events=EventSettings(),
            quotas=QuotaSettings(),
            tenants=self._settings.tenants,
            pool=None if redis is None else RedisQuotaPool(redis),
            store=redis,
            connect_auth=self._connect_auth,
            purging=_purging(self._settings),
            domains=self._settings.domains,
        )

    async def _verify(self) -> None:
        await row_security.verify(self._database, metadata, package="tenantmesh.tenant_svc")

    def _connect_auth(self) -> grpc.aio.Channel:
        mesh, server = self._settings.mesh, self._settings.server
        tls = None if mesh.tls_ca is None else tls_credentials(mesh.tls_ca, server.tls_cert, server.tls_key)
        return channel(mesh.auth_target, credential=Credential(mesh.credential.get_secret_value()), tls=tls)

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
        running = GaugeMetricFamily("tenantmesh_jobs_running", "Jobs under way.", value=self.queue.running)
        return [attempts, running, *(metric for collect in self._collected for metric in collect())]
