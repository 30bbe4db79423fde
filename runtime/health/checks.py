"""The health of services: each needs its checks, and the process ("") needs all services."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeAlias

from grpc_health.v1 import health_pb2

__all__ = ["NOT_SERVING", "OVERALL", "SERVICE_UNKNOWN", "SERVING", "Check", "Health", "Status"]

_log = logging.getLogger(__name__)

Status: TypeAlias = int  # a number of the enum HealthCheckResponse.ServingStatus
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SERVICE_UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN

OVERALL = ""
_ALWAYS = float("-inf")
"""Since when a check has been failing that has never run."""


@dataclass(frozen=True, slots=True, eq=False)
class Check:
    """Something a service cannot serve without. `probe` raises while it is missing.

    Failing for less than `tolerance` changes nothing: calls in flight get errors of their own, and a health that flaps
    only moves load about.
    """

    name: str
    probe: Callable[[], Awaitable[None]]
    tolerance: timedelta = timedelta(seconds=5)
    timeout: timedelta = timedelta(seconds=2)


class Health:
    """Runs the checks and keeps each service's status. Everything is NOT_SERVING until the first round has passed."""

    def __init__(self, services: Mapping[str, Sequence[Check]], interval: timedelta = timedelta(seconds=1)) -> None:
        self._services = {name: tuple(checks) for name, checks in services.items()}
        self._interval = interval.total_seconds()
        # When each began to fail; None while it passes. Before the first round, all have been failing for ever.
        self._failing: dict[Check, float | None] = {check: _ALWAYS for checks in services.values() for check in checks}
        self._statuses: dict[str, Status] = dict.fromkeys([OVERALL, *services], NOT_SERVING)
        self._changed = asyncio.Event()
        self._listeners: list[Callable[[], None]] = []
        self._draining = False
        self._closed = False
        self._rounds: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Run the first round of checks, then keep running them every interval."""
        await self._run_round()
        self._rounds = asyncio.get_running_loop().create_task(self._run_rounds())

    async def close(self) -> None:
        """Stop checking and end every watch."""
        self._closed = True
        self._announce()
        if self._rounds is not None:
            self._rounds.cancel()
            with suppress(asyncio.CancelledError):
                await self._rounds

    def set_draining(self) -> None:
        """Say NOT_SERVING for everything, for good: the process is about to stop."""
        self._draining = True
        self._update()

    @property
    def closed(self) -> bool:
        """Whether watches have ended. For any thread."""
        return self._closed

    def on_change(self, listener: Callable[[], None]) -> None:
        """Have a function called, in the loop, after each change and at the end."""
        self._listeners.append(listener)

    def status(self, service: str) -> Status | None:
        """Return a service's status, or None for an unknown name. The empty name is the whole process.

        For any thread, as `statuses` is: a change replaces the dictionary.
        """
        return self._statuses.get(service)

    def statuses(self) -> dict[str, Status]:
        """Return the status of every service and of the whole process."""
        return dict(self._statuses)

    async def watch(self, service: str) -> AsyncGenerator[Status, None]:
        """Yield the status now and after each change, until `close`. Changes nobody had time to read are merged."""
        last: Status | None = None
        while not self._closed:
            changed = self._changed  # taken before looking, so that no change falls between
            current = self._statuses.get(service, SERVICE_UNKNOWN)
            if current != last:
                last = current
                yield current
            else:
                await changed.wait()

    async def _run_rounds(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            await self._run_round()

    async def _run_round(self) -> None:
        await asyncio.gather(*(self._run(check) for check in self._failing))
        self._update()

    async def _run(self, check: Check) -> None:
        try:
            async with asyncio.timeout(check.timeout.total_seconds()):
                await check.probe()
        except Exception as error:  # whatever the probe says, it is not well
            if self._failing[check] is None:
                self._failing[check] = asyncio.get_running_loop().time()
                _log.warning('health check "%s" began to fail: %s', check.name, type(error).__name__)
        else:
            if self._failing[check] not in {None, _ALWAYS}:
                _log.info('health check "%s" passed', check.name)
            self._failing[check] = None

    def _fails(self, check: Check) -> bool:
        since = self._failing[check]
        return since is not None and asyncio.get_running_loop().time() - since >= check.tolerance.total_seconds()

    def _update(self) -> None:
        statuses: dict[str, Status] = {
            name: NOT_SERVING if self._draining or any(map(self._fails, checks)) else SERVING
            for name, checks in self._services.items()
        }
        whole = not self._draining and all(status == SERVING for status in statuses.values())
        statuses[OVERALL] = SERVING if whole else NOT_SERVING
        if statuses != self._statuses:
            self._statuses = statuses
            self._announce()

    def _announce(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
        for listener in self._listeners:
            listener()
