"""kill -9 of each part while tenants are created, changed, deleted, brought back and imported: one effect of each call,
and nothing lost.

A caller repeats what it got no answer to: a creation and a batch with its request_id, a change with the etag that it
has read, a deletion and its opposite as they are. The command line imports a file meanwhile. The log of events says
afterwards what happened, and how often.
"""

from __future__ import annotations

import asyncio
import os
import signal
import uuid
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest

from tenantmesh.interceptors.client import Credential, channel
from tenantmesh.tenant.v1 import tenant_service_pb2 as pb
from tenantmesh.tenant.v1.tenant_service_pb2_grpc import TenantServiceStub
from tests.behaviour.importing import begins_to_create, begun, named, written
from tests.fixtures.mesh import AUTH, BULK, TENANTS, World, answering
from tests.fixtures.processes import Four, four_processes, made
from tests.transports import Answer, GrpcTransport, RestTransport, Transport

LANES = 3
"""Callers by each transport. One more makes batches."""
BATCH = 5
LINES = 3000
"""The lines of the file: enough for the import to be under way when the part is killed."""
BEFORE, AFTER = 0.6, 1.5
"""Seconds of calls before and after the kill."""
PAUSE = 0.1
LONGEST = 60.0
SLUG_GRACE = 2.0

AWAY = {"UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED"}
"""Codes of calls while a part is away; the caller repeats the request. CANCELLED: the kill cut the call."""

NOT_NOW = {"RATE_LIMITED", "TOO_MANY_IN_FLIGHT", "DATABASE_BUSY"}
"""Refusals with RetryInfo of what had no effect: keys that can't be verified at the moment count as unknown ones."""


@pytest.fixture(scope="module")
def mortal(tmp_path_factory: pytest.TempPathFactory, clustered: bool) -> Iterator[Four]:
    """A product whose parts are killed, and started again. Former slugs end soon."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("TENANTMESH_TENANTS_SLUG_GRACE", f"{SLUG_GRACE}s")
        with four_processes(tmp_path_factory.mktemp("mortal"), cluster=clustered, durable=True) as running:
            yield running


def kill_tenant_svc(four: Four) -> None:
    for process in four.process("tenant_svc").children():
        os.kill(process.pid, signal.SIGKILL)


def kill_worker(four: Four) -> None:
    four.process("tenant_worker").kill()


def kill_postgres(four: Four) -> None:
    four.process("postgres").kill()


def kill_valkey(four: Four) -> None:
    four.process("valkey").kill()


@dataclass
class Caller:
    """Takes tenants through their life, and knows what was acknowledged."""

    transport: Transport
    key: str
    acknowledged: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """The answers, by tenant."""
    slugs: dict[str, str] = field(default_factory=dict)
    former: dict[str, str] = field(default_factory=dict)
    refusals: Counter[str] = field(default_factory=Counter)
    over: bool = False

    async def live(self) -> None:
        """Create, rename, delete and bring back tenants until it is over, each to its end: of three, one stays, one is
        deleted, and one comes back."""
        while not self.over:
            created = await self.create()
            changed = await self.rename(created)
            if len(self.slugs) % 3:
                await self.end("DeleteTenant", "DELETED", changed, reason="killed")
            if len(self.slugs) % 3 == 1:
                await self.end("UndeleteTenant", "UNDELETED", changed)

    async def create(self) -> dict[str, Any]:
        request = {"slug": f"t-{uuid.uuid4().hex[:16]}", "requestId": str(uuid.uuid4())}
        answer = await self.until_answered("CreateTenant", request)
        assert answer.code == "OK", answer
        self.acknowledged[answer.body["id"]].append("CREATED")
        self.slugs[answer.body["id"]] = request["slug"]
        return answer.body

    async def rename(self, tenant: dict[str, Any]) -> dict[str, Any]:
        """Change the slug, guarded by the etag: a repetition of a change that has happened is ABORTED."""
        slug = f"u-{uuid.uuid4().hex[:16]}"
        request = {"id": tenant["id"], "tenant": {"slug": slug, "etag": tenant["etag"]}, "updateMask": "slug"}
        answer = await self.until_answered("UpdateTenant", request)
        if answer.code != "OK":
            assert (answer.code, answer.reason) == ("ABORTED", "ETAG_MISMATCH"), answer
            answer = await self.until_answered("GetTenant", {"id": tenant["id"]})
        assert answer.body["slug"] == slug, "the change that was refused as repeated has happened"
        self.acknowledged[tenant["id"]].append("UPDATED")
        self.former[tenant["id"]], self.slugs[tenant["id"]] = self.slugs[tenant["id"]], slug
        await session_at(self.transport, self.former[tenant["id"]])  # auth_svc remembers it
        return answer.body

    async def end(self, method: str, event: str, tenant: dict[str, Any], **request: str) -> None:
        """Delete the tenant, or bring it back: the same call a second time has no effect."""
        answer = await self.until_answered(method, {"id": tenant["id"], **request})
        assert answer.code == "OK", answer
        self.acknowledged[tenant["id"]].append(event)

    async def until_answered(self, method: str, request: dict[str, Any], service: str = TENANTS) -> Answer:
        """Repeat the same request while its outcome is unknown."""
        async with asyncio.timeout(LONGEST):
            while True:
                answer = await self._answer(f"{service}/{method}", request)
                if answer.code not in AWAY and answer.reason not in NOT_NOW:
                    return answer
                self.refusals[answer.reason or answer.code] += 1
                await asyncio.sleep(PAUSE)

    async def _answer(self, method: str, request: dict[str, Any]) -> Answer:
        return await answered(self.transport.call(method, request, token=self.key))


async def answered(call: Awaitable[Answer]) -> Answer:
    try:
        return await call
    except OSError as error:  # the connection was cut before an answer
        return Answer("UNAVAILABLE", {}, type(error).__name__)


async def session_at(transport: Transport, slug: str) -> Answer:
    """The answer of auth_svc to an unknown refresh token at the tenant with that slug."""
    request, named = {"refreshToken": "of nobody"}, [("x-tenant-slug", slug)]
    return await answered(transport.call(f"{AUTH}/RefreshToken", request, metadata=named))


class BatchCaller(Caller):
    """Does the same to several tenants at once. A batch is repeated with its request_id, and so never ABORTED."""

    async def live(self) -> None:
        while not self.over:
            slugs = [f"t-{uuid.uuid4().hex[:16]}" for _ in range(BATCH)]
            created = await self.batch("Create", "CREATED", [{"slug": slug} for slug in slugs])
            self.slugs.update({each["id"]: each["slug"] for each in created})
            changed = await self.batch("Update", "UPDATED", [self.renaming(each) for each in created])
            await self.batch("Delete", "DELETED", [{"id": each["id"], "reason": "killed"} for each in changed[1:]])

    def renaming(self, tenant: dict[str, Any]) -> dict[str, Any]:
        slug = f"u-{uuid.uuid4().hex[:16]}"
        self.former[tenant["id"]], self.slugs[tenant["id"]] = tenant["slug"], slug
        return {"id": tenant["id"], "tenant": {"slug": slug, "etag": tenant["etag"]}, "updateMask": "slug"}

    async def batch(self, verb: str, event: str, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
        request = {"requests": items, "requestId": str(uuid.uuid4())}
        answer = await self.until_answered(f"Batch{verb}Tenants", request, BULK)
        assert answer.code == "OK", answer
        tenants = [each["tenant"] for each in answer.body["results"]]
        for each in tenants:
            self.acknowledged[each["id"]].append(event)
        return tenants


@asynccontextmanager
async def callers(four: Four) -> AsyncIterator[list[Caller]]:
    """Callers over gRPC and over REST."""
    mesh = four.mesh
    async with GrpcTransport(mesh.tenant_target, mesh.auth_target) as direct, RestTransport(mesh.edge_target) as rest:
        kinds = [*(LANES * [Caller]), BatchCaller]
        yield [kind(transport, mesh.operator_key) for transport in (direct, rest) for kind in kinds]


async def watched(four: Four) -> None:
    """Start what has ended again, as `tenantmesh dev` does."""
    while True:
        await asyncio.to_thread(four.mesh.stack.watch)
        await asyncio.sleep(0.05)


async def events(four: Four) -> dict[str, list[pb.TenantEvent]]:
    """The whole log by tenant. A service that has just found its database again may refuse at first."""
    async with asyncio.timeout(LONGEST):
        while True:
            try:
                return await _events(four)
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE:
                    raise
            await asyncio.sleep(PAUSE)


async def _events(four: Four) -> dict[str, list[pb.TenantEvent]]:
    found: dict[str, list[pb.TenantEvent]] = defaultdict(list)
    async with channel(four.mesh.tenant_target, credential=Credential(four.mesh.operator_key)) as opened:
        stub: Any = TenantServiceStub(opened)
        async for message in stub.WatchTenants(pb.WatchTenantsRequest(earliest=True), timeout=LONGEST):
            assert message.WhichOneof("event") != "error", message
            if message.checkpoint.caught_up:
                break
            if message.HasField("result"):
                found[message.result.tenant.id].append(message.result)
    return found


async def lived_through(four: Four, world: World, kill: Callable[[Four], None]) -> list[Caller]:
    """Have callers work while the part is killed, and return them once it serves again and they have ended."""
    async with callers(four) as working:
        supervisor = asyncio.create_task(watched(four))
        try:
            lives = [asyncio.create_task(each.live()) for each in working]
            await asyncio.sleep(BEFORE)
            kill(four)
            await asyncio.sleep(AFTER)
            for each in working:
                each.over = True
            await asyncio.gather(*lives)
            await answering(world)
        finally:
            supervisor.cancel()
    return working


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    "kill", [kill_tenant_svc, kill_postgres, kill_valkey, kill_worker], ids=lambda kill: kill.__name__
)
async def test_every_call_and_line_has_one_effect_and_none_is_lost(
    mortal: Four, kill: Callable[[Four], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [named() for _ in range(LINES)]
    async with made(mortal) as world:
        importing = begun(mortal.mesh, written(tmp_path, *lines))
        await begins_to_create(importing, world)
        working = await lived_through(mortal, world, kill)
        output, _ = await asyncio.to_thread(importing.communicate, timeout=LONGEST)
        assert (importing.returncode, "0 rejected" in output) == (0, True), output
        log = await events(mortal)
        imported = Counter(event.tenant.external_id for each in log.values() for event in each)
        assert [imported[line["externalId"]] for line in lines] == [1] * LINES
        for caller in working:
            for tenant_id, acknowledged in caller.acknowledged.items():
                assert kinds(log[tenant_id]) == acknowledged, tenant_id
                assert log[tenant_id][-1].tenant.slug == caller.slugs[tenant_id]
        ours = {slug for caller in working for slug in (*caller.slugs.values(), *caller.former.values())}
        again = {tenant_id for tenant_id, each in log.items() for event in each if event.tenant.slug in ours}
        assert again == {tenant_id for caller in working for tenant_id in caller.acknowledged}, (
            "one tenant for a request"
        )
        await former_slugs_end(world, working)
    refusals = sum((caller.refusals for caller in working), Counter[str]())
    assert refusals or kill in {kill_valkey, kill_worker}, "calls were under way"
    with capsys.disabled():
        print(f"\n{kill.__name__}: {sum(len(each.slugs) for each in working)} tenants, repeated after {dict(refusals)}")


def kinds(log: list[pb.TenantEvent]) -> list[str]:
    """The types of a tenant's events, without the ends of former slugs."""
    changes = [event for before, event in zip([None, *log], log, strict=False) if not ends_a_slug(before, event)]
    return [pb.TenantEventType.Name(event.type).removeprefix("TENANT_EVENT_TYPE_") for event in changes]


def ends_a_slug(before: pb.TenantEvent | None, event: pb.TenantEvent) -> bool:
    """Whether the event says only that a former slug leads nowhere any more."""
    fewer = before is not None and len(event.tenant.former_slugs) < len(before.tenant.former_slugs)
    return fewer and event.type == pb.TENANT_EVENT_TYPE_UPDATED


async def former_slugs_end(world: World, working: list[Caller]) -> None:
    """Wait until no former slug leads to its tenant any more, in either service: a worker has done its job."""
    key = world.mesh.operator_key
    former = [slug for caller in working for slug in caller.former.values()]
    assert former
    async with asyncio.timeout(LONGEST):
        for slug in former:
            while (await world.transport.call(f"{TENANTS}/ResolveTenant", {"slug": slug}, token=key)).code == "OK":
                await asyncio.sleep(PAUSE)
            while (await session_at(world.transport, slug)).reason != "TENANT_NOT_FOUND":
                await asyncio.sleep(PAUSE)
