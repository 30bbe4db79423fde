"""The links about plans by themselves: what only happens at the wrong moment, and what is refused at start."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from notes.v1 import notes_service_pb2 as pb
from notes.v1.notes_service_pb2_grpc import add_NotesServiceServicer_to_server

from tenantmesh.interceptors import CallerKind
from tenantmesh.interceptors.backends.grpc.plans import GrpcQuotaLedger, read_entitlements
from tenantmesh.interceptors.backends.memory.quotas import MemoryQuotaLedger, MemoryQuotaPool
from tenantmesh.interceptors.backends.memory.sources import MemoryEntitlementSource
from tenantmesh.interceptors.call import Call
from tenantmesh.interceptors.caller import Caller
from tenantmesh.interceptors.chain import Chain, ChainSettings, Ports
from tenantmesh.interceptors.directories.entitlements import EntitlementDirectory
from tenantmesh.interceptors.directories.watched import MISS
from tenantmesh.interceptors.entitlements import EntitlementChange, Entitlements, Feature, FeatureType
from tenantmesh.interceptors.errors import (
    DeadlineExceeded,
    FailedPrecondition,
    Internal,
    MeshError,
    NotFound,
    OutOfRange,
    PermissionDenied,
    ResourceExhausted,
    Unavailable,
)
from tenantmesh.interceptors.leases.allowances import LeasedQuota
from tenantmesh.interceptors.limits import Rate, StoreUnavailable
from tenantmesh.interceptors.links.deadline import Deadline
from tenantmesh.interceptors.links.entitlement import Entitlement
from tenantmesh.interceptors.links.error_boundary import Aborted
from tenantmesh.interceptors.links.outcome import Outcome, outcome_of
from tenantmesh.interceptors.links.quota import Quota
from tenantmesh.interceptors.links.tenant_limit import TenantLimit
from tenantmesh.interceptors.policy import (
    Charge,
    ChargePer,
    MethodPolicy,
    PolicyError,
    StoreDown,
    TenantScope,
    _check_plan,
    policies_of,
)
from tenantmesh.interceptors.quotas import LARGEST_AMOUNT, Ask
from tenantmesh.interceptors.tenants import TenantId, TenantRecord, TenantState
from tenantmesh.interceptors.testing import TestMesh
from tenantmesh.policy.v1 import policy_pb2
from tenantmesh.tenant.v1 import entitlement_pb2, plan_pb2
from tests.example.notes import Notes, ThreadNotes

ACME = TenantRecord(TenantId(uuid.uuid4()), "acme", TenantState.ACTIVE, "basic")
USER = Caller(CallerKind.USER, "somebody")


def policy(**fields: Any) -> MethodPolicy:
    return MethodPolicy("/x.Y/Z", frozenset({CallerKind.USER}), **{"tenant_scope": TenantScope.REQUIRED, **fields})


def call(policy: MethodPolicy, caller: Caller = USER, tenant: TenantRecord | None = ACME) -> Call:
    made = Call(policy, ())
    made.caller, made.tenant = caller, tenant
    return made


def entitlements(**features: int | bool) -> Entitlements:
    found = {
        name: Feature(name, FeatureType.BOOLEAN, enabled=bool(value), limit=0)
        if isinstance(value, bool)
        else Feature(name, FeatureType.METERED, value > 0, value)
        for name, value in features.items()
    }
    return Entitlements(ACME.id, "basic", 1, 1, found)


UNLIMITED = Feature("reads", FeatureType.METERED, enabled=True, limit=None)


async def until(condition: Any) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110  # the condition is the directory's, which has no event
            await asyncio.sleep(0.005)


# --- what other versions say ------------------------------------------------------------------------------------------


def test_a_feature_of_a_type_from_the_future_is_left_out() -> None:
    found = entitlement_pb2.Entitlements(tenant_id=str(ACME.id), plan_id="basic")
    found.entitlements.add(feature="export", type=plan_pb2.FEATURE_TYPE_BOOLEAN, enabled=True)
    found.entitlements.add(feature="of_tomorrow", type=max(plan_pb2.FeatureType.values()) + 1, enabled=True)
    found.entitlements.add(feature="untyped", enabled=True)
    assert read_entitlements(found).features == {"export": Feature("export", FeatureType.BOOLEAN, enabled=True)}


# --- the test kit -----------------------------------------------------------------------------------------------------


async def test_entitling_keeps_what_is_not_spoken_of() -> None:
    async with TestMesh() as mesh:
        acme = mesh.add_tenant("acme")
        mesh.entitle(acme, "export", limits={"reads": 3}, rates={"api": Rate(1, 1)}, over_limit=["users"])
        before = mesh.entitlements.entitled(acme.id)
        assert (before.over_limit, before.read_only) == (("users",), True)
        mesh.entitle(acme)
        assert mesh.entitlements.entitled(acme.id) == replace(before, revision=before.revision + 1)
        mesh.entitle(acme, over_limit=())
        after = mesh.entitlements.entitled(acme.id)
        assert (after.over_limit, after.read_only, after.has("export")) == ((), False, True)


# --- at start ---------------------------------------------------------------------------------------------------------


async def test_policies_that_cant_be_kept_are_refused_at_start() -> None:
    services = list(pb.DESCRIPTOR.services_by_name.values())
    whole = TestMesh().ports()

    def without(name: str) -> Ports:
        kept = {field: getattr(whole, field) for field in Ports.__dataclass_fields__ if field != name}
        return Ports(**kept)

    Chain(services, whole, complete=False)
    for name, words in (
        ("entitlements", "needs the feature export|give the chain entitlements"),
        ("quotas", "charges .*: give the chain quotas"),
        ("limiter", "give the chain a limiter"),
    ):
        with pytest.raises(PolicyError, match=words):
            Chain(services, without(name), complete=False)
    with pytest.raises(PolicyError, match="rate_class 'api' is not among"):
        Chain(services, whole, ChainSettings(rates={"public": Rate(1, 1)}), complete=False)


def test_the_policies_of_the_example_are_read() -> None:
    policies = policies_of(pb.DESCRIPTOR.services_by_name.values(), complete=False)
    upload = policies["/notes.v1.NotesService/UploadNotes"]
    assert upload.meters == (Charge("requests", 2), Charge("notes", 1, ChargePer.REQUEST_MESSAGE))
    assert (upload.mutates, upload.while_read_only) == (True, True)
    assert not policies["/notes.v1.NotesService/ExportNotes"].mutates


# --- entitlements -----------------------------------------------------------------------------------------------------


class Source(MemoryEntitlementSource):
    """A source that can be away, and whose watch does what a test says."""

    def __init__(self) -> None:
        super().__init__()
        self.down = False
        self.changes: asyncio.Queue[EntitlementChange | Exception] = asyncio.Queue()

    async def find(self, tenant_id: TenantId) -> Entitlements | None:
        found = await super().find(tenant_id)
        if self.down:
            raise Unavailable("ENTITLEMENTS_UNAVAILABLE", "away")
        return found

    async def watch(self, cursor: str | None) -> AsyncIterator[EntitlementChange]:
        while True:
            change = await self.changes.get()
            if isinstance(change, Exception):
                raise change
            yield change


async def test_the_directory_tells_whose_entitlements_may_have_changed() -> None:
    source = Source()
    source.set(entitlements(export=True))
    directory, told = EntitlementDirectory(source), list[TenantId | None]()
    directory.on_forgotten(told.append)
    await directory.start()
    try:
        await source.changes.put(EntitlementChange("1", caught_up=True))
        await until(lambda: directory.live)
        assert told == [None], "whatever was there before the watch"
        await directory.find(ACME.id)
        assert isinstance(directory.peek(ACME.id), Entitlements)
        await source.changes.put(EntitlementChange("2", ACME.id))
        await until(lambda: told[1:] == [ACME.id])
        assert not isinstance(directory.peek(ACME.id), Entitlements)
        await directory.find(ACME.id)
        await source.changes.put(EntitlementChange("3", everybody=True))
        await until(lambda: told[2:] == [None])
        assert not isinstance(directory.peek(ACME.id), Entitlements)
        await directory.find(ACME.id)
        await source.changes.put(OutOfRange("CURSOR_EXPIRED", "gone"))
        await until(lambda: not directory.live)
        assert told[3:] == [], "lost, and nobody has said yet that something changed"
        await source.changes.put(EntitlementChange("4", caught_up=True))
        await until(lambda: told[3:] == [None])
        assert not isinstance(directory.peek(ACME.id), Entitlements)
    finally:
        await directory.close()


async def test_a_tenant_that_is_new_costs_no_question_until_it_calls() -> None:
    source = Source()
    directory = EntitlementDirectory(source)
    await directory.start()
    try:
        await source.changes.put(EntitlementChange("1", caught_up=True))
        await until(lambda: directory.live)
        assert await directory.find(ACME.id) is None, "it is not there yet"
        source.set(entitlements(export=True))
        for number in range(2, 1000):
            await source.changes.put(EntitlementChange(str(number), TenantId(uuid.uuid4())))
        await source.changes.put(EntitlementChange("1000", ACME.id))
        await until(lambda: directory.peek(ACME.id) is MISS)
        assert source.lookups == 1
        assert await directory.find(ACME.id) is not None, "and is not missing for as long as that is believed"
    finally:
        await directory.close()


async def test_entitlements_that_end_by_themselves_are_asked_for_again() -> None:
    now = 0.0
    source = Source()
    directory, told = EntitlementDirectory(source, clock=lambda: now), list[TenantId | None]()
    directory.on_forgotten(told.append)
    await directory.start()
    try:
        await source.changes.put(EntitlementChange("1", caught_up=True))
        await until(lambda: directory.live)
        told.clear()
        first = entitlements(export=True)
        source.set(Entitlements(ACME.id, "basic", 1, 1, first.features, valid_for=timedelta(seconds=60)))
        assert (await directory.find(ACME.id)) is not None
        now = 59.0
        assert isinstance(directory.peek(ACME.id), Entitlements)
        now = 60.0
        assert not isinstance(directory.peek(ACME.id), Entitlements)
        source.down = True
        assert await directory.find(ACME.id) is not None, "stale, while nobody says otherwise"
        now = 121.0
        with pytest.raises(Unavailable):
            await directory.find(ACME.id)
        source.down = False
        source.set(Entitlements(ACME.id, "basic", 1, 1, first.features, valid_for=timedelta(seconds=9)))
        await directory.find(ACME.id)
        assert told == [], "nothing has changed but for how long it holds"
        now = 200.0
        source.set(entitlements(export=False))
        await directory.find(ACME.id)
        assert told == [ACME.id]
    finally:
        await directory.close()


async def test_only_what_a_policy_asks_is_refused_when_nothing_is_known() -> None:
    source = Source()
    source.down = True
    link = Entitlement(EntitlementDirectory(source))
    for fields, caller, served in (
        ({}, USER, True),
        ({"feature": "export"}, USER, False),
        ({"mutates": True}, USER, False),
        ({"mutates": True, "while_read_only": True}, USER, True),
        ({"feature": "export"}, Caller(CallerKind.OPERATOR, "root"), True),
    ):
        of = policy(**fields)
        made, bound = call(of, caller), link.bind(of)
        assert bound is not None
        pending = bound.admit(made)
        assert pending is not None
        if served:
            await pending
            with pytest.raises(Unavailable, match="can't be found out"):
                _ = made.entitlements
            assert made.degraded
        else:
            with pytest.raises(Unavailable) as caught:
                await pending
            assert caught.value.reason == "ENTITLEMENTS_UNAVAILABLE"


async def test_a_tenant_that_the_source_does_not_have_is_not_found() -> None:
    of = policy()
    bound = Entitlement(EntitlementDirectory(Source())).bind(of)
    assert bound is not None
    pending = bound.admit(call(of))
    assert pending is not None
    with pytest.raises(NotFound):
        await pending


def test_a_handler_is_told_what_its_chain_lacks() -> None:
    made = call(policy())
    with pytest.raises(Internal, match="without the port `entitlements`"):
        _ = made.entitlements
    with pytest.raises(Internal, match="without the port `quotas`"):
        made._charging("reads", 1)
    with pytest.raises(Internal, match="in its event loop"):
        made.charge_blocking("reads", 1)


def test_a_handler_is_told_which_amounts_can_be_charged() -> None:
    made = call(policy())
    made.charger = Charges()
    made._charging("reads", LARGEST_AMOUNT)
    with pytest.raises(Internal, match="charge in parts"):
        made._charging("reads", LARGEST_AMOUNT + 1)
    with pytest.raises(Internal, match="raise an error"):
        made._charging("reads", -1)
    assert [charge.cost for charge in made.charger.seen] == [LARGEST_AMOUNT]


class Charges:
    """Charges whatever it is asked for."""

    def __init__(self) -> None:
        self.seen: list[Charge] = []

    def charge(self, _call: Call, charges: Sequence[Charge], _now: float) -> None:
        self.seen += charges


def test_costs_that_cant_be_counted_are_refused_at_start() -> None:
    declared = policy_pb2.MethodPolicy(tenant_scope=policy_pb2.TENANT_SCOPE_REQUIRED)
    declared.meters.add(meter="reads", cost=LARGEST_AMOUNT)
    method = pb.DESCRIPTOR.services_by_name["NotesService"].methods[0]
    _check_plan("x", declared, method)
    for cost in (-1, LARGEST_AMOUNT + 1):
        declared.meters[0].cost = cost
        with pytest.raises(PolicyError, match="costs 0"):
            _check_plan("x", declared, method)


# --- what the ledger answers over gRPC --------------------------------------------------------------------------------


def rpc_error(code: grpc.StatusCode, reason: str) -> grpc.aio.AioRpcError:
    status = status_pb2.Status()
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason=reason))
    details = grpc.aio.Metadata(("grpc-status-details-bin", status.SerializeToString()))
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), details if reason else grpc.aio.Metadata(), "what to do")


@pytest.mark.parametrize(
    ("code", "reason", "error"),
    [
        (grpc.StatusCode.UNAVAILABLE, "", StoreUnavailable),
        (grpc.StatusCode.UNAVAILABLE, "TENANT_DIRECTORY_UNAVAILABLE", StoreUnavailable),
        (grpc.StatusCode.DEADLINE_EXCEEDED, "", StoreUnavailable),
        (grpc.StatusCode.CANCELLED, "", StoreUnavailable),
        (grpc.StatusCode.UNKNOWN, "", StoreUnavailable),
        (grpc.StatusCode.NOT_FOUND, "TENANT_NOT_FOUND", NotFound),
        (grpc.StatusCode.NOT_FOUND, "FEATURE_NOT_FOUND", NotFound),
        (grpc.StatusCode.PERMISSION_DENIED, "TENANT_SUSPENDED", PermissionDenied),
        (grpc.StatusCode.FAILED_PRECONDITION, "TENANT_DELETED", FailedPrecondition),
        (grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING", Internal),
        (grpc.StatusCode.UNAUTHENTICATED, "CREDENTIALS_INVALID", Internal),
        (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD", Internal),
        (grpc.StatusCode.UNIMPLEMENTED, "", Internal),
    ],
)
async def test_only_a_missing_answer_is_silence(code: grpc.StatusCode, reason: str, error: type[Exception]) -> None:
    class Stub:
        async def Lease(self, *_: Any, **__: Any) -> None:
            raise rpc_error(code, reason)

        Return = Lease

    ledger = GrpcQuotaLedger(Stub)
    for question in (
        ledger.lease(ACME.id, [Ask("reads", 1, 1)]),
        ledger.give_back(ACME.id, "reads", 1, datetime.now(UTC)),
    ):
        with pytest.raises(error) as caught:
            await question
        if isinstance(caught.value, NotFound | PermissionDenied | FailedPrecondition):
            assert (caught.value.reason, caught.value.message) == (reason, "what to do")


# --- what counts ------------------------------------------------------------------------------------------------------

CODES = grpc.StatusCode


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (None, Outcome.SERVED),
        (NotFound("X", "x"), Outcome.SERVED),
        (PermissionDenied("X", "x"), Outcome.REFUSED),
        (ResourceExhausted("X", "x"), Outcome.REFUSED),
        (Unavailable("X", "x"), Outcome.FAILED),
        (ValueError("x"), Outcome.FAILED),
        (DeadlineExceeded("X", "x"), Outcome.FAILED),
        (Aborted(CODES.UNAUTHENTICATED), Outcome.REFUSED),
        (Aborted(CODES.UNIMPLEMENTED), Outcome.FAILED),
        (Aborted(CODES.FAILED_PRECONDITION), Outcome.SERVED),
        (asyncio.CancelledError(), Outcome.SERVED),
        (GeneratorExit(), Outcome.SERVED),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else str(value),
)
def test_what_a_call_costs_depends_on_how_it_ends(error: BaseException | None, outcome: Outcome) -> None:
    made = call(policy())
    made.error = error
    assert outcome_of(made) is outcome


def test_codes_that_a_handler_sets_count_as_well() -> None:
    for code, outcome in ((CODES.NOT_FOUND, Outcome.SERVED), (CODES.UNKNOWN, Outcome.FAILED)):
        made = call(policy())
        made.code = code
        assert outcome_of(made) is outcome


class Context:
    """A client's haste."""

    def __init__(self, remaining: float | None) -> None:
        self._remaining = remaining

    def time_remaining(self) -> float | None:
        return self._remaining


@pytest.mark.parametrize(
    ("remaining", "outcome"), [(None, Outcome.FAILED), (5.0, Outcome.SERVED), (999.0, Outcome.FAILED)]
)
def test_a_deadline_costs_whoever_chose_it(remaining: float | None, outcome: Outcome) -> None:
    of = policy()
    made, link = call(of), Deadline().bind(of)
    made.context = Context(remaining)  # type: ignore[assignment]  # what this link asks of it
    assert link is not None
    link.enter(made)
    made.error, made.ended_by = asyncio.CancelledError(), DeadlineExceeded("DEADLINE_EXCEEDED", "too long")
    assert outcome_of(made) is outcome


# --- charging at the wrong moment -------------------------------------------------------------------------------------


async def test_what_is_charged_after_the_call_is_over_is_given_back() -> None:
    of = policy(meters=(Charge("reads", 5),))
    quotas = LeasedQuota(MemoryQuotaLedger(lambda *_: 100), MemoryQuotaPool())
    bound = Quota(quotas, EntitlementDirectory(Source())).bind(of)
    made = call(of)
    assert bound is not None
    pending = bound.admit(made)
    assert pending is not None
    bound.leave(made)  # as when a thread has stopped waiting
    await pending
    assert quotas.held(ACME.id, "reads") == 5
    assert not made.taken
    await quotas.close()


async def test_a_stream_that_began_unlimited_is_charged_when_that_is_over() -> None:
    of = policy(meters=(Charge("reads", 1, ChargePer.REQUEST_MESSAGE),))
    source = Source()
    directory, quotas = EntitlementDirectory(source), LeasedQuota(MemoryQuotaLedger(source.limit))
    source.set(replace(entitlements(reads=0), features={"reads": UNLIMITED}, valid_for=timedelta(seconds=0.1)))
    await directory.find(ACME.id)
    bound, gate = Quota(quotas, directory).bind(of), Entitlement(directory).bind(of)
    assert bound is not None
    assert gate is not None
    made = call(of)
    gate.admit(made)
    bound.admit(made)
    assert bound.read(made, None) is None
    source.set(entitlements(reads=0))  # and no watch tells of it
    await asyncio.sleep(0.1)
    pending = bound.read(made, None)
    assert pending is not None
    with pytest.raises(ResourceExhausted):
        await pending


class AwayLedger(MemoryQuotaLedger):
    async def lease(self, *_: Any) -> Any:
        raise StoreUnavailable("away")


async def test_several_meters_are_taken_from_the_local_share_all_or_nothing() -> None:
    reads, writes = Charge("reads"), Charge("writes")
    quota = Quota(LeasedQuota(AwayLedger(lambda *_: None)), EntitlementDirectory(Source()))

    async def served(*charges: Charge) -> bool:
        of = policy(meters=charges, store_down=StoreDown.LOCAL)
        made, bound = call(of), quota.bind(of)
        made.entitled = entitlements(reads=200, writes=1)
        assert bound is not None
        pending = bound.admit(made)
        assert pending is not None
        try:
            await pending
        except Unavailable:
            return False
        return True

    assert [await served(reads, writes) for _ in range(3)] == [True, False, False]
    assert [await served(reads) for _ in range(2)] == [True, False], "the refused ones took nothing"


async def test_what_was_unlimited_stays_so_while_nobody_can_be_asked() -> None:
    of = policy(meters=(Charge("reads"),))
    quotas = LeasedQuota(AwayLedger(lambda *_: None))
    bound = Quota(quotas, EntitlementDirectory(Source())).bind(of)
    assert bound is not None
    made = call(of)
    made.entitled = replace(entitlements(reads=0), features={"reads": UNLIMITED})
    pending = bound.admit(made)
    assert pending is not None
    await pending
    assert made.degraded


async def test_operators_and_calls_without_a_tenant_are_not_charged() -> None:
    of = policy(meters=(Charge("reads", 5),), tenant_scope=TenantScope.OPTIONAL)
    quotas = LeasedQuota(MemoryQuotaLedger(lambda *_: 100))
    bound = Quota(quotas, EntitlementDirectory(Source())).bind(of)
    assert bound is not None
    for made in (call(of, Caller(CallerKind.OPERATOR, "root")), call(of, tenant=None)):
        assert bound.admit(made) is None
        bound.leave(made)
    assert quotas.stats.waited == quotas.stats.charged_here == 0


class Deaf(Notes):
    """Takes every error for the end of its stream."""

    async def UploadNotes(self, request_iterator: Any, context: Any) -> Any:
        try:
            async for note in request_iterator:
                yield pb.UploadNotesResponse(text=note.text)
        except MeshError:
            return


class Manual(Notes):
    """Reads and writes by the context, and takes every error for the end of its stream."""

    async def UploadNotes(self, request_iterator: Any, context: Any) -> None:  # type: ignore[override]  # gRPC takes both
        try:
            while (note := await context.read()) is not grpc.aio.EOF:
                await context.write(pb.UploadNotesResponse(text=note.text))
        except MeshError:
            return


class DeafThread(ThreadNotes):
    """The same on the thread-pool server."""

    def UploadNotes(self, request_iterator: Any, context: Any) -> Any:
        try:
            for note in request_iterator:
                yield pb.UploadNotesResponse(text=note.text)
        except MeshError:
            return


async def received(stream: Any) -> tuple[int, grpc.StatusCode]:
    """How many messages came, and how the stream ended."""
    count = 0
    with contextlib.suppress(grpc.aio.AioRpcError):
        async for _ in stream:
            count += 1
    return count, await stream.code()


@pytest.mark.parametrize("servicer", [Deaf(), Manual(), DeafThread()], ids=lambda each: type(each).__name__)
async def test_a_stream_ends_with_its_allowance_whatever_its_handler_does(servicer: Any) -> None:
    async def notes() -> AsyncIterator[pb.UploadNotesRequest]:
        for _ in range(9):
            yield pb.UploadNotesRequest(text="a")

    kind: Any = "threads" if isinstance(servicer, DeafThread) else "aio"
    async with TestMesh() as mesh:
        acme = mesh.add_tenant("acme")
        mesh.entitle(acme, limits={"notes": 4, "requests": None})
        target = await mesh.serve(add_NotesServiceServicer_to_server, servicer, pb.DESCRIPTOR, kind=kind)
        async with mesh.client(target, token=mesh.token(acme, ("owner",))) as channel:
            method: Any = channel.stream_stream(
                "/notes.v1.NotesService/UploadNotes",
                request_serializer=pb.UploadNotesRequest.SerializeToString,
                response_deserializer=pb.UploadNotesResponse.FromString,
            )
            count, code = await received(method(notes()))
    assert (count, code) == (4, CODES.RESOURCE_EXHAUSTED)


def test_bursts_are_of_a_tenant() -> None:
    with pytest.raises(PolicyError, match="tenant_scope is NONE"):
        TenantLimit(None, {}).bind(policy(rate_class="api", tenant_scope=TenantScope.NONE))
