"""Takes jobs from the queue with pgqueuer, over one connection of the worker role. It is opened again when it is lost,
and when it is old: by then the address may lead to another server.

The queue delivers at least once: a job comes back when it fails, when its worker dies or is silent for too long, and
when the database was away at its end. Handlers must therefore be idempotent.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from datetime import timedelta
from functools import partial
from typing import Protocol

from pgqueuer import Job, Queries, QueueManager, RetryRequested
from pgqueuer.adapters.persistence.qb import QueryBuilderEnvironment, QueryQueueBuilder, QuerySchedulerBuilder
from pgqueuer.domain.settings import DBSettings
from pgqueuer.domain.types import Channel

from tenantmesh.chassis.jobs.postponed import JobPostponed
from tenantmesh.chassis.jobs.settings import JobSettings
from tenantmesh.chassis.jobs.wakeups import WakingDriver
from tenantmesh.interceptors.errors import Unavailable
from tenantmesh.interceptors.records import TraceContext
from tenantmesh.interceptors.tasks import cancel, wait_for_event
from tenantmesh.runtime.database import DatabaseUnavailable, TransactionConflict
from tenantmesh.runtime.database.lifetimes import lifetime
from tenantmesh.runtime.database.pool import RawConnection

__all__ = ["SETTINGS", "JobHandler", "JobQueue"]

# Every field is set: the library reads missing ones from environment variables such as CHANNEL or TRIGGER.
SETTINGS = DBSettings(
    prefix="",
    db_schema="jobs",
    channel=Channel("ch_pgqueuer"),
    function="fn_pgqueuer_changed",
    statistics_table="pgqueuer_statistics",
    queue_status_type="pgqueuer_status",
    queue_table="pgqueuer",
    queue_table_log="pgqueuer_log",
    trigger="tg_pgqueuer_changed",
    schedules_table="pgqueuer_schedules",
)

_log = logging.getLogger("tenantmesh.worker")
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 5.0
_BREAK_SECONDS = 0.5
_PRUNE_SECONDS = 3600.0
_BYPASSES_RLS = "SELECT rolsuper OR rolbypassrls FROM pg_catalog.pg_roles WHERE rolname = current_user"
_REMEDY = "take jobs as tenant_worker (TENANTMESH_WORKER_QUEUE_URL), and run `tenantmesh migrate` first"
_DELETE_LOG = "DELETE FROM jobs.pgqueuer_log WHERE created < now() - $1::interval"
_STORE_FAILURES = "UPDATE jobs.pgqueuer SET headers = jsonb_build_object('failures', $2::int) WHERE id = $1"
_TRANSIENT = (Unavailable, DatabaseUnavailable, TransactionConflict)  # these end by themselves: retried without a limit

_Outcome = tuple[str, str]
"""The kind of a job, and the result of an attempt: `done`, `postponed`, `repeated` or `given up`."""


class JobHandler(Protocol):
    """Does the jobs of one kind."""

    at_once: int = 0
    """How many jobs of the kind run at once, in all workers together. Zero: as many as the workers can run."""

    async def work(self, subject: str) -> None:
        """Must do the job, or do nothing if it is done. May be called for the same job again at any time, even while an
        earlier call still runs. JobPostponed means that it is not the job's turn, and any other error that it has
        failed: it is tried again later."""
        ...

    async def cause(self, subject: str) -> TraceContext | None:
        """Must return the trace of the call that asked for the job, or None. Asked only where traces are exported."""
        ...

    async def give_up(self, subject: str) -> None:
        """Must move the subject to a final state: the job has failed too often and is dropped."""
        ...


class JobTracer(Protocol):
    """Makes the spans of jobs. Adapter: `runtime.telemetry.spans.JobSpans`."""

    def around(self, kind: str, cause: TraceContext | None) -> AbstractContextManager[None]:
        """Must make a span of the block, a child of the cause."""
        ...


class JobQueue:
    """Takes jobs between `start` and `stop`, then finishes the running ones. `close` cancels them.

    age: how long its connection serves. tracer: returns the tracer of jobs, or None where no traces are exported.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[RawConnection]],
        handlers: Mapping[str, JobHandler],
        settings: JobSettings,
        age: timedelta,
        tracer: Callable[[], JobTracer | None] = lambda: None,
    ) -> None:
        self._age = age
        self._tracer = tracer
        self._connect = connect
        self._handlers = handlers
        self._settings = settings
        self._stopping = asyncio.Event()
        self._manager: QueueManager | None = None
        self._task: asyncio.Task[None] | None = None
        self.outcomes: Counter[_Outcome] = Counter()
        self.running = 0
        """The number of running jobs."""

    async def start(self) -> None:
        """Start to take jobs. Raises when that is impossible: no database, a role that is too powerful, no tables."""
        await self._verify_access()
        self._task = asyncio.create_task(self._run(), name="job-queue")

    def stop(self) -> None:
        """Take no more jobs."""
        self._stopping.set()
        if self._manager is not None:
            self._manager.shutdown.set()

    async def finished(self) -> None:
        """Wait until the queue was stopped and its running jobs have ended."""
        if self._task is not None:
            await asyncio.wait({self._task})

    async def close(self) -> None:
        """Cancel the running jobs. Another worker takes them again."""
        self.stop()
        while self._task is not None and not self._task.done():
            self._task.cancel()  # the library waits for its jobs once more: the next one reaches them
            await asyncio.wait({self._task}, timeout=_BREAK_SECONDS)

    async def _verify_access(self) -> None:
        connection = await self._connect()
        try:
            role = await connection.fetchval("SELECT current_user")
            if await connection.fetchval(_BYPASSES_RLS):
                raise RuntimeError(f"role {role} can pass row-level security; {_REMEDY}")
            try:
                await self._make_manager(connection).verify_structure()
            except RuntimeError as error:  # its text names the library's own commands
                raise RuntimeError(f"role {role} finds no job queue; {_REMEDY}") from error
        finally:
            await connection.close()

    async def _run(self) -> None:
        pause = _FIRST_PAUSE_SECONDS
        while not self._stopping.is_set():
            began = asyncio.get_running_loop().time()
            aged = False
            try:
                aged = await self._run_once()
            except Exception as error:  # of any kind: without this loop no job is done
                _log.warning("the job queue was lost, trying again: %s", type(error).__name__)
            if aged or asyncio.get_running_loop().time() - began > _LONGEST_PAUSE_SECONDS:
                pause = _FIRST_PAUSE_SECONDS
            await wait_for_event(self._stopping, pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    async def _run_once(self) -> bool:
        """Take jobs over one connection until it is lost or old, and return whether it was old."""
        connection = await self._connect()
        settings = self._settings
        pruning: asyncio.Task[None] | None = None
        end = asyncio.get_running_loop().time() + lifetime(self._age)
        old: asyncio.TimerHandle | None = None
        try:
            self._manager = manager = self._make_manager(connection)
            if self._stopping.is_set():
                return False
            pruning = asyncio.create_task(self._prune_log(manager), name="job-log-retention")
            old = asyncio.get_running_loop().call_at(end, manager.shutdown.set)
            await manager.run(
                dequeue_timeout=settings.poll_interval,
                batch_size=max(1, settings.concurrency // 2),
                max_concurrent_tasks=max(2, settings.concurrency),
                heartbeat_timeout=settings.lease,
                shutdown_on_listener_failure=True,
                log_aggregation_interval=timedelta(0),
            )
        finally:
            if old is not None:
                old.cancel()
            await cancel(pruning)
            connection.terminate()
        return asyncio.get_running_loop().time() >= end

    def _make_manager(self, connection: RawConnection) -> QueueManager:
        queries = Queries(
            WakingDriver(connection),
            qbe=QueryBuilderEnvironment(SETTINGS),
            qbq=QueryQueueBuilder(SETTINGS),
            qbs=QuerySchedulerBuilder(SETTINGS),
        )
        manager = QueueManager(queries, channel=SETTINGS.channel)
        for kind, handler in self._handlers.items():
            manager.entrypoint(kind, concurrency_limit=handler.at_once, accepts_context=False)(
                partial(self._work, handler)
            )
        return manager

    async def _work(self, handler: JobHandler, job: Job) -> None:
        """Make one attempt. Raises only RetryRequested: after any other error the library drops the job."""
        subject = (job.payload or b"").decode(errors="replace")
        self.running += 1
        try:
            await self._attempt(handler, job.entrypoint, subject)
            self.outcomes[job.entrypoint, "done"] += 1
        except asyncio.CancelledError:
            raise RetryRequested from None  # else the library marks the job itself as cancelled
        except JobPostponed as postponed:
            self.outcomes[job.entrypoint, "postponed"] += 1
            raise RetryRequested(postponed.pause) from None
        except Exception as error:
            await self._retry_or_give_up(error, handler, job, subject)
        finally:
            self.running -= 1

    async def _attempt(self, handler: JobHandler, kind: str, subject: str) -> None:
        """Do the job, in a span of the trace of the call that asked for it."""
        tracer = self._tracer()
        if tracer is None:
            await handler.work(subject)
            return
        with tracer.around(kind, await handler.cause(subject)):
            await handler.work(subject)

    async def _retry_or_give_up(self, error: Exception, handler: JobHandler, job: Job, subject: str) -> None:
        known = {"job": job.entrypoint, "subject": subject, "attempt": job.attempts + 1}
        if isinstance(error, _TRANSIENT):
            _log.warning("a job failed and will be tried again", extra=known)
        elif await self._count_failure(job) < self._settings.attempts:
            _log.warning("a job failed and will be tried again", exc_info=error, extra=known)
        else:
            _log.error("a job has failed too often and is given up", exc_info=error, extra=known)
            try:
                await handler.give_up(subject)
            except Exception:
                _log.exception("a job can't be given up", extra=known)
            else:
                self.outcomes[job.entrypoint, "given up"] += 1
                return
        self.outcomes[job.entrypoint, "repeated"] += 1
        raise RetryRequested(self._pause_after(job.attempts)) from None

    async def _count_failure(self, job: Job) -> int:
        """Store one more failure of the job and return their number. The library's own counter of attempts includes
        outages, which are no failures of the job."""
        failures = int(str((job.headers or {}).get("failures", 0))) + 1
        try:
            if self._manager is not None:
                await self._manager.queries.driver.execute(_STORE_FAILURES, job.id, failures)
        except Exception as error:  # the job then gets one more attempt
            _log.warning("a failure of a job can't be stored: %s", type(error).__name__)
        return failures

    def _pause_after(self, attempts: int) -> timedelta:
        return min(timedelta(seconds=2 ** min(attempts, 30)), self._settings.longest_pause)

    async def _prune_log(self, manager: QueueManager) -> None:
        """Delete old rows of the library's log of jobs."""
        while True:
            try:
                await manager.queries.driver.execute(_DELETE_LOG, self._settings.log_retention)
            except Exception as error:
                _log.warning("old rows of the log of jobs can't be deleted: %s", type(error).__name__)
            await asyncio.sleep(_PRUNE_SECONDS)
