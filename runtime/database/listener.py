"""LISTEN on a connection of its own, reopened for as long as somebody listens: when it is lost, and when it is old.

A notification is a reason to look, never the news itself: those sent while the connection was down are lost, and any
role of the database can send one. So the callback also runs after each (re)connection, with an empty payload, and
repeated payloads are coalesced (`notifications`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from types import TracebackType
from typing import Any, Self

from tenantmesh.runtime.database.errors import DatabaseUnavailable
from tenantmesh.runtime.database.lifetimes import lifetime
from tenantmesh.runtime.database.notifications import Coalesced
from tenantmesh.runtime.database.pool import RawConnection

__all__ = ["Listener"]

_log = logging.getLogger(__name__)

_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 5.0
_PROBE_SECONDS = 15.0


class Listener:
    """`async with` listens until left. Made by `Database.listen`. A connection serves for `age`, as those of a pool."""

    def __init__(
        self,
        connect: Callable[[], Awaitable[RawConnection]],
        channel: str,
        callback: Callable[[str], None],
        age: timedelta,
    ) -> None:
        self._age = age
        self._connect = connect
        self._channel = channel
        self._callback = callback
        self._coalesced = Coalesced(callback)
        self._lost = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._task = asyncio.get_running_loop().create_task(self._keep_listening())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def _keep_listening(self) -> None:
        pause = _FIRST_PAUSE_SECONDS
        while True:
            try:
                await self._listen_once()
                pause = _FIRST_PAUSE_SECONDS
            except Exception as error:  # anything: without this task no news arrives at all
                _log.warning("listening on %s failed, trying again: %s", self._channel, type(error).__name__)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    async def _listen_once(self) -> None:
        """Return when the connection was lost, or is old, after it had been listening."""
        connection = await self._connect()
        try:
            self._lost = asyncio.Event()
            connection.add_termination_listener(self._on_lost)
            await connection.add_listener(self._channel, self._on_notification)
            self._callback("")
            await self._watch(connection)
        finally:
            connection.terminate()

    async def _watch(self, connection: RawConnection) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + lifetime(self._age)
        while (left := end - loop.time()) > 0 and not self._lost.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(min(left, _PROBE_SECONDS)):
                    await self._lost.wait()
                return
            if connection.is_closed():
                raise DatabaseUnavailable("the listening connection was lost")
            await connection.execute("SELECT 1")  # a peer that vanished without a word is found out here

    def _on_lost(self, _connection: Any) -> None:
        self._lost.set()

    def _on_notification(self, _connection: Any, _pid: int, _channel: str, payload: object) -> None:
        self._coalesced(str(payload))
