"""The port that answers health while the event loop is busy: in threads, by what the loop has found last."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import grpc
import pytest
import pytest_asyncio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tenantmesh.runtime.health import (
    NOT_SERVING,
    OVERALL,
    SERVICE_UNKNOWN,
    SERVING,
    Health,
    Pulse,
    ThreadedHealthServicer,
    WatchPlaces,
    watch_metrics,
)
from tenantmesh.runtime.server import Application
from tenantmesh.runtime.server.grpc_server import watch_places
from tenantmesh.runtime.server.health_server import loop_stillness, make_health_server
from tenantmesh.runtime.settings import ServerSettings
from tests.ports import free_port

SERVICE = "demo.v1.Notes"
NO_CONTEXT: Any = None  # an answer that refuses nothing needs none
BUSY_SECONDS = 1.5
ASKS = """
import grpc, sys, time
from grpc_health.v1 import health_pb2, health_pb2_grpc
with grpc.insecure_channel(sys.argv[1]) as channel:
    stub = health_pb2_grpc.HealthStub(channel)
    grpc.channel_ready_future(channel).result(10)
    print("ready", flush=True)
    while True:
        print(stub.Check(health_pb2.HealthCheckRequest(), timeout=10).status, time.monotonic(), flush=True)
"""


class Port:
    """A health port in this loop, and a client in threads."""

    def __init__(self, health: Health, pulse: Pulse, target: str, places: WatchPlaces) -> None:
        self.health = health
        self.pulse = pulse
        self.target = target
        self.places = places
        self.channel = grpc.insecure_channel(target)
        self.stub: Any = health_pb2_grpc.HealthStub(self.channel)  # its type stubs know the asynchronous kind

    async def check(self, service: str = OVERALL) -> int:
        request = health_pb2.HealthCheckRequest(service=service)
        return int((await asyncio.to_thread(self.stub.Check, request, timeout=10)).status)


@pytest_asyncio.fixture
async def port() -> AsyncIterator[Port]:
    health, pulse = Health({SERVICE: []}), Pulse(timedelta(milliseconds=20))
    await health.start()
    pulse.start()
    settings = ServerSettings(max_health_watchers=2)
    target = f"127.0.0.1:{free_port()}"
    places = watch_places(settings)
    server = make_health_server(target, Application(services=[], health=health), pulse, settings, places)
    server.start()
    opened = Port(health, pulse, target, places)
    yield opened
    opened.channel.close()
    server.stop(None).wait(10)
    pulse.close()
    await health.close()


async def test_it_answers_what_the_loop_has_found(port: Port) -> None:
    assert (await port.check(), await port.check(SERVICE)) == (SERVING, SERVING)
    list_all: Any = port.channel.unary_unary("/grpc.health.v1.Health/List")
    listed = await asyncio.to_thread(list_all, b"", timeout=10)
    assert SERVICE.encode() in listed
    with pytest.raises(grpc.RpcError) as caught:
        await port.check("demo.v1.Unknown")
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    port.health.set_draining()
    assert (await port.check(), await port.check(SERVICE)) == (NOT_SERVING, NOT_SERVING)


@contextlib.contextmanager
def asking(target: str) -> Iterator[list[tuple[int, float]]]:
    """Another process asks all the time: each answer, and when it came. Complete once the block has ended."""
    answers: list[tuple[int, float]] = []
    with subprocess.Popen([sys.executable, "-c", ASKS, target], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        try:
            yield answers
        finally:
            process.terminate()
            lines = [line.split() for line in process.stdout]
    answers += [(int(status), float(when)) for status, when in (line for line in lines if len(line) == 2)]


def work(seconds: float) -> None:
    """Keep the calling thread, and with it the loop, from turning to anything else."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        sum(range(1000))


async def test_it_answers_while_the_loop_is_busy(port: Port) -> None:
    with asking(port.target) as answers:
        began = time.monotonic()
        work(BUSY_SECONDS)
        ended = time.monotonic()
    meanwhile = [status for status, when in answers if began < when < ended]
    assert len(meanwhile) >= 10
    assert set(meanwhile) == {SERVING}


async def test_a_loop_that_stands_still_does_not_serve() -> None:
    health, pulse = Health({SERVICE: []}), Pulse(timedelta(milliseconds=5))
    await health.start()
    pulse.start()
    servicer = ThreadedHealthServicer(health, pulse, WatchPlaces(1, 1), stuck_after=timedelta(milliseconds=100))
    request = health_pb2.HealthCheckRequest(service=SERVICE)
    work(0.2)
    assert servicer.Check(request, NO_CONTEXT).status == NOT_SERVING
    assert loop_stillness(pulse).samples[0].value > 0.1
    while pulse.still_for:
        await asyncio.sleep(0.005)
    assert servicer.Check(request, NO_CONTEXT).status == SERVING
    pulse.close()
    await health.close()


def test_a_pulse_beats_in_a_loop_that_moves() -> None:
    async def watched() -> timedelta:
        pulse = Pulse(timedelta(milliseconds=5))
        pulse.start()
        work(0.2)
        still = pulse.still_for
        while pulse.still_for:
            await asyncio.sleep(0.005)
        pulse.close()
        return still

    assert asyncio.run(watched()) > timedelta(milliseconds=150)


@contextlib.contextmanager
def watch(port: Port, service: str) -> Iterator[list[int]]:
    """The statuses that a watch has been told, as they come."""
    seen: list[int] = []
    call = port.stub.Watch(health_pb2.HealthCheckRequest(service=service))

    def read() -> None:
        with contextlib.suppress(grpc.RpcError):
            seen.extend(answer.status for answer in call)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield seen
    finally:
        call.cancel()
        reader.join(10)


async def until(seen: list[int], *statuses: int) -> None:
    async with asyncio.timeout(10):
        while seen != list(statuses):
            await asyncio.sleep(0.01)


def counted(port: Port) -> tuple[float, float]:
    """The watches that are open, and those that were refused, as a scrape has them."""
    now, refused = watch_metrics({"health": port.places})
    return now.samples[0].value, refused.samples[0].value


async def test_watches_are_told_of_changes_and_are_bounded(port: Port) -> None:
    with watch(port, OVERALL) as overall, watch(port, "demo.v1.Unknown") as unknown:
        await until(overall, SERVING)
        await until(unknown, SERVICE_UNKNOWN)
        with pytest.raises(grpc.RpcError) as caught:
            await asyncio.to_thread(next, port.stub.Watch(health_pb2.HealthCheckRequest()))
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert counted(port) == (2, 1)
        port.health.set_draining()
        await until(overall, SERVING, NOT_SERVING)
    with watch(port, SERVICE) as freed:  # a watch that has ended leaves its place
        await until(freed, NOT_SERVING)
        assert counted(port) == (1, 1)
