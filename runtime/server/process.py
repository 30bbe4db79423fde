"""The life of a server process: open, serve until a signal, drain, close in reverse.

Drain: health answers NOT_SERVING, the process waits `drain_wait` for load balancers to notice, ends watches with a
reason, refuses new calls, lets running ones finish within `grace`, and closes. A second signal ends the waiting.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import traceback
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from datetime import timedelta

import grpc
import structlog
import uvloop

from tenantmesh.runtime import tuning
from tenantmesh.runtime.health import Pulse, watch_metrics
from tenantmesh.runtime.server.application import Application
from tenantmesh.runtime.server.grpc_server import make_channelz_server, make_server, watch_places
from tenantmesh.runtime.server.health_server import loop_stillness, make_health_server
from tenantmesh.runtime.server.workers import REFUSED, run_workers
from tenantmesh.runtime.settings import ServerSettings, moved_address
from tenantmesh.runtime.telemetry import Telemetry

__all__ = ["run"]

Build = Callable[[ServerSettings], Awaitable[Application]]

_log = structlog.get_logger()


def run(build: Build, server: ServerSettings, telemetry: Telemetry) -> int:
    """Serve until SIGTERM or SIGINT and return the process's exit status: 0, or REFUSED when it must not serve.

    `build` makes the application, given this worker's settings. Call it before anything is opened: with several
    workers, or when the environment lacks what gRPC needs, the process starts itself again.
    """
    tuning.apply()
    if server.workers > 1 and server.worker is None:
        return run_workers(server.workers)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_Process(build, _own_settings(server), telemetry).run())


def _own_settings(server: ServerSettings) -> ServerSettings:
    listeners = ("listen", "health_listen", "channelz_listen")
    configured = {name: address for name in listeners if (address := getattr(server, name)) is not None}
    return server.model_copy(
        update={name: moved_address(address, server.worker_ports_move_by) for name, address in configured.items()}
    )


class _Process:
    """One worker."""

    def __init__(self, build: Build, settings: ServerSettings, telemetry: Telemetry) -> None:
        self._build = build
        self._settings = settings
        self._telemetry = telemetry
        # The ports answer watches apart from each other, so that neither takes the other's places.
        self._places = {"calls": watch_places(settings)}
        if settings.health_listen is not None:
            self._places["health"] = watch_places(settings)
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()

    async def run(self) -> int:
        """Serve until told to stop."""
        self._listen_for_signals()
        async with AsyncExitStack() as opened:
            try:
                application, server = await self._open(opened)
            except Exception as error:  # whatever is wrong, say it and do not serve
                where = traceback.extract_tb(error.__traceback__)[-1]
                at = f"{where.filename}:{where.lineno}"
                _log.error("refusing to serve", reason=str(error), kind=type(error).__name__, where=at)
                return REFUSED
            _log.info("serving", address=self._settings.listen, worker=self._settings.worker)
            await self._stop.wait()
            await self._drain(application, server)
        _log.info("stopped", address=self._settings.listen)
        return 0

    async def _open(self, opened: AsyncExitStack) -> tuple[Application, grpc.aio.Server]:
        opened.callback(self._telemetry.close)
        self._telemetry.open(self._settings.worker_ports_move_by)
        application = await self._build(self._settings)
        opened.push_async_callback(application.close)
        await application.start()
        opened.push_async_callback(application.health.close)
        await application.health.start()
        health = self._make_health_server(application, opened)
        server = make_server(application, self._settings, self._places["calls"])
        self._telemetry.collector(lambda: watch_metrics(self._places))
        opened.push_async_callback(server.stop, None)
        if self._settings.channelz_listen is not None:
            await self._serve_channelz(self._settings.channelz_listen, opened)
        await server.start()
        if health is not None:
            health.start()
        return application, server

    def _make_health_server(self, application: Application, opened: AsyncExitStack) -> grpc.Server | None:
        """Return the server of the health port, bound. It ends after the server of calls."""
        if self._settings.health_listen is None:
            return None
        pulse = Pulse()
        pulse.start()
        opened.callback(pulse.close)
        self._telemetry.collector(lambda: [loop_stillness(pulse)])
        places = self._places["health"]
        server = make_health_server(self._settings.health_listen, application, pulse, self._settings, places)
        opened.callback(server.stop, None)
        return server

    async def _serve_channelz(self, address: str, opened: AsyncExitStack) -> None:
        server = make_channelz_server(address)
        opened.push_async_callback(server.stop, None)
        await server.start()

    async def _drain(self, application: Application, server: grpc.aio.Server) -> None:
        application.health.set_draining()
        _log.info("draining", wait_seconds=self._settings.drain_wait.total_seconds())
        await self._wait_or_hurry(self._settings.drain_wait)
        await application.health.close()  # ends its watches, which would keep `stop` waiting
        application.end_watches()
        stopping = asyncio.ensure_future(server.stop(self._settings.grace.total_seconds()))
        hurry = asyncio.ensure_future(self._hurry.wait())
        await asyncio.wait({stopping, hurry}, return_when=asyncio.FIRST_COMPLETED)
        if not stopping.done():
            await server.stop(None)
        hurry.cancel()
        await stopping

    async def _wait_or_hurry(self, wait: timedelta) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(wait.total_seconds()):
                await self._hurry.wait()

    def _listen_for_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal)
        if self._settings.worker is not None:
            # The parent holds the other end of this pipe; when it is gone, however it went, so are its workers.
            loop.add_reader(sys.stdin.fileno(), self._on_parent_lost)

    def _on_signal(self) -> None:
        if self._stop.is_set():
            self._hurry.set()
        self._stop.set()

    def _on_parent_lost(self) -> None:
        if not os.read(sys.stdin.fileno(), 1):
            asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
            self._stop.set()
