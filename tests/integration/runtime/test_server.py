"""A server process as an operator meets it: started, asked, drained, crashed, refused."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import grpc
import pytest
from grpc_channelz.v1 import channelz_pb2, channelz_pb2_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from tenantmesh.runtime import tuning
from tenantmesh.runtime.server import REFUSED
from tests.integration.runtime.conftest import PACKAGE
from tests.ports import STEP, free_port, free_port_for_workers

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING

# The type stubs of these packages know only the synchronous channel, or no methods at all.
health_stub: Any = health_pb2_grpc.HealthStub
sleeper_stub: Any = channelz_pb2_grpc.ChannelzStub
reflection_stub: Any = reflection_pb2_grpc.ServerReflectionStub


class Service:
    """The demo service as a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self.process = process
        self.port = port
        self.events: list[dict[str, Any]] = []

    async def until(self, event: str, times: int = 1) -> dict[str, Any]:
        """Read log lines until one says `event` for the n-th time since the start."""
        assert self.process.stdout is not None
        async with asyncio.timeout(20):
            while sum(line["event"] == event for line in self.events) < times:
                line = await self.process.stdout.readline()
                assert line, f"ended before saying {event!r}: {self.events}"
                self.events.append(json.loads(line))
        return [line for line in self.events if line["event"] == event][times - 1]

    async def ended(self) -> tuple[int, str]:
        """Wait for the end; return the exit status and what was written to stderr."""
        async with asyncio.timeout(20):
            out, err = await self.process.communicate()
        self.events += [json.loads(line) for line in out.splitlines()]
        assert self.process.returncode is not None
        return self.process.returncode, err.decode()

    def channel(self, worker: int = 0) -> grpc.aio.Channel:
        return grpc.aio.insecure_channel(f"127.0.0.1:{self.port + worker * STEP}")


@asynccontextmanager
async def started(**settings: str) -> AsyncIterator[Service]:
    port = free_port_for_workers(STEP)
    environment = {
        **os.environ,
        **tuning.ENVIRONMENT,
        "TENANTMESH_SERVER_LISTEN": f"127.0.0.1:{port}",
        "TENANTMESH_SERVER_DRAIN_WAIT": "300ms",
        **settings,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", PACKAGE, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        yield Service(process, port)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def status(channel: grpc.aio.Channel, service: str = "") -> int:
    stub = health_stub(channel)
    answer = await stub.Check(health_pb2.HealthCheckRequest(service=service), wait_for_ready=True, timeout=10)
    return int(answer.status)


async def test_it_serves_health_reflection_and_its_services() -> None:
    async with started(TENANTMESH_SERVER_REFLECTION="true") as service, service.channel() as channel:
        await service.until("serving")
        assert await status(channel) == SERVING
        assert await status(channel, "demo.v1.Notes") == SERVING
        with pytest.raises(grpc.aio.AioRpcError) as unknown:
            await status(channel, "tenant-acme")
        assert unknown.value.code() == grpc.StatusCode.NOT_FOUND
        sleeper = sleeper_stub(channel)
        assert (await sleeper.GetServers(channelz_pb2.GetServersRequest())).end
        assert await listed(channel) >= {"grpc.channelz.v1.Channelz", "grpc.health.v1.Health"}


async def listed(channel: grpc.aio.Channel) -> set[str]:
    call = reflection_stub(channel).ServerReflectionInfo(
        iter([reflection_pb2.ServerReflectionRequest(list_services="")])
    )
    answers = [answer async for answer in call]
    return {service.name for service in answers[0].list_services_response.service}


async def test_reflection_is_off_unless_asked_for() -> None:
    async with started() as service, service.channel() as channel:
        await service.until("serving")
        # Nothing is sent: a message that crosses the refusal would fail as a broken write.
        call = reflection_stub(channel).ServerReflectionInfo()
        assert await call.code() == grpc.StatusCode.UNIMPLEMENTED


async def test_draining_says_so_first_finishes_calls_and_ends_watches() -> None:
    async with started() as service, service.channel() as channel:
        await service.until("serving")
        watch = health_stub(channel).Watch(health_pb2.HealthCheckRequest())
        assert (await watch.read()).status == SERVING
        sleeper = sleeper_stub(channel)
        under_way = asyncio.ensure_future(sleeper.GetServers(channelz_pb2.GetServersRequest(start_server_id=700)))
        await asyncio.sleep(0.1)
        service.process.terminate()
        assert (await watch.read()).status == NOT_SERVING
        assert await status(channel) == NOT_SERVING
        assert (await sleeper.GetServers(channelz_pb2.GetServersRequest())).end, "calls are served while it waits"
        assert (await under_way).end
        assert await watch.read() is grpc.aio.EOF
        assert await service.ended() == (0, "started\nclosed\n")


async def test_a_second_signal_ends_the_waiting() -> None:
    patient = {"TENANTMESH_SERVER_DRAIN_WAIT": "60s", "TENANTMESH_SERVER_GRACE": "60s"}
    async with started(**patient) as service, service.channel() as channel:
        await service.until("serving")
        sleeper = sleeper_stub(channel)
        stuck = asyncio.ensure_future(sleeper.GetServers(channelz_pb2.GetServersRequest(start_server_id=60_000)))
        await asyncio.sleep(0.1)
        service.process.send_signal(signal.SIGINT)
        await service.until("draining")
        service.process.send_signal(signal.SIGINT)
        assert (await service.ended())[0] == 0
        with pytest.raises(grpc.aio.AioRpcError):
            await stuck


async def test_what_must_not_serve_says_why_without_secrets() -> None:
    async with started(DEMO_REFUSES="1") as service:
        assert (await service.ended())[0] == REFUSED
        (refusal,) = [event for event in service.events if event["event"] == "refusing to serve"]
        assert "does not isolate tenants" in refusal["reason"]
        assert "hunter2" not in json.dumps(service.events)


async def test_a_taken_port_is_named_with_how_to_change_it() -> None:
    async with started() as first:
        await first.until("serving")
        async with started(TENANTMESH_SERVER_LISTEN=f"127.0.0.1:{first.port}") as second:
            status_code, told = await second.ended()
            assert status_code == REFUSED
            assert f"127.0.0.1:{first.port}" in json.dumps(second.events)
            assert "TENANTMESH_SERVER_LISTEN" in json.dumps(second.events)
            assert told.endswith("closed\n"), "what had been opened was closed"


async def test_a_taken_metrics_port_is_named_with_how_to_change_it() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        async with started(TENANTMESH_TELEMETRY_METRICS_LISTEN=address) as service:
            assert (await service.ended())[0] == REFUSED
            assert address in json.dumps(service.events)
            assert "TENANTMESH_TELEMETRY_METRICS_LISTEN" in json.dumps(service.events)


async def test_workers_have_ports_and_metrics_of_their_own_and_come_back() -> None:
    metrics = free_port_for_workers(STEP)
    async with AsyncExitStack() as stack:
        service = await stack.enter_async_context(
            started(TENANTMESH_SERVER_WORKERS="2", TENANTMESH_TELEMETRY_METRICS_LISTEN=f"127.0.0.1:{metrics}")
        )
        await service.until("serving", times=2)
        channels = [await stack.enter_async_context(service.channel(worker)) for worker in (0, 1)]
        assert [await status(channel) for channel in channels] == [SERVING, SERVING]
        assert ["tenantmesh_rpc" in await scraped(metrics + worker * STEP) for worker in (0, 1)] == [True, True]
        os.kill(children(service.process.pid)[0], signal.SIGKILL)
        assert (await service.until("worker ended, starting it again"))["status"] == -signal.SIGKILL
        await service.until("serving", times=3)
        assert [await status(channel) for channel in channels] == [SERVING, SERVING]
        service.process.terminate()
        code, told = await service.ended()
        assert (code, told.count("closed")) == (0, 2)


async def test_metrics_are_served_as_http_1_1_by_nobody_in_particular() -> None:
    port = free_port()
    async with started(TENANTMESH_TELEMETRY_METRICS_LISTEN=f"127.0.0.1:{port}") as service:
        await service.until("serving")
        head, _, page = (await scraped(port, "1.1")).partition("\r\n\r\n")
    status, *headers = head.lower().split("\r\n")
    assert status == "http/1.1 200 ok"
    assert "server: tenantmesh" in headers
    assert "connection: close" in headers
    assert "python" not in head.lower()
    assert "tenantmesh_rpc" in page


async def scraped(port: int, version: str = "1.0") -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET /metrics HTTP/{version}\r\nHost: localhost\r\n\r\n".encode())
    page = await reader.read()
    writer.close()
    await writer.wait_closed()
    return page.decode()


def children(pid: int) -> list[int]:
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(child) for child in file.read().split()]


async def test_workers_do_not_outlive_a_parent_that_is_killed() -> None:
    async with started(TENANTMESH_SERVER_WORKERS="2") as service:
        await service.until("serving", times=2)
        workers = children(service.process.pid)
        service.process.kill()
        try:
            _, told = await service.ended()  # ends when the last of them has closed its end of the pipes
        finally:
            for worker in workers:
                with suppress(ProcessLookupError):
                    os.kill(worker, signal.SIGKILL)
        assert told.count("closed") == 2


async def test_workers_that_refuse_end_the_parent() -> None:
    async with started(TENANTMESH_SERVER_WORKERS="2", DEMO_REFUSES="1") as service:
        assert (await service.ended())[0] == REFUSED


async def test_a_connection_that_says_nothing_is_closed() -> None:
    async with started(TENANTMESH_SERVER_HANDSHAKE_TIMEOUT="200ms") as service:
        await service.until("serving")
        reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
        async with asyncio.timeout(5):
            await reader.read()
        assert reader.at_eof()
        writer.close()


async def test_limits_on_messages_and_metadata_hold() -> None:
    async with (
        started(TENANTMESH_SERVER_MAX_REQUEST_BYTES="2048", TENANTMESH_SERVER_MAX_METADATA_BYTES="2048") as service,
        service.channel() as channel,
    ):
        await service.until("serving")
        stub = health_stub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as large:
            # The chain, which this service has not, refuses requests beyond the setting with a reason; this is gRPC's.
            await stub.Check(health_pb2.HealthCheckRequest(service="x" * 6 * 2048))
        assert large.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        with pytest.raises(grpc.aio.AioRpcError) as wordy:
            await stub.Check(health_pb2.HealthCheckRequest(), metadata=[("x-filler", "y" * 4096)])
        assert wordy.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize("bound", ["MAX_HEALTH_WATCHERS", "MAX_HEALTH_WATCHERS_PER_ADDRESS"])
async def test_watches_are_few_and_their_places_come_back(bound: str) -> None:
    async with started(**{f"TENANTMESH_SERVER_{bound}": "2"}) as service, service.channel() as channel:
        await service.until("serving")
        stub = health_stub(channel)
        watches = [stub.Watch(health_pb2.HealthCheckRequest()) for _ in range(2)]
        for watch in watches:
            assert (await watch.read()).status == SERVING
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.Watch(health_pb2.HealthCheckRequest()).read()
        assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        for watch in watches:
            watch.cancel()
        await asyncio.sleep(0.2)
        unknown = stub.Watch(health_pb2.HealthCheckRequest(service="tenant-acme"))
        assert (await unknown.read()).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
        unknown.cancel()
