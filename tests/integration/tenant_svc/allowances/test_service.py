"""QuotaService over gRPC: what callers send is checked, what they get is what the contract says."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, timedelta
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2, status_pb2

from tenantmesh.chassis.servicers import JoinedServicer
from tenantmesh.interceptors.backends.grpc.quota_ledger import GrpcQuotaLedger, health_of
from tenantmesh.interceptors.caller import CallerKind
from tenantmesh.interceptors.client import Credential, channel, thread_channel
from tenantmesh.interceptors.entitlements import Entitlements
from tenantmesh.interceptors.errors import Internal, NotFound, Unavailable
from tenantmesh.interceptors.leases.allowances import LeasedQuota
from tenantmesh.interceptors.limits import StoreAway, StoreUnavailable
from tenantmesh.interceptors.quotas import Ask, Charge
from tenantmesh.interceptors.tenants import TenantId, TenantRecord, TenantState
from tenantmesh.interceptors.testing import TestMesh
from tenantmesh.tenant.v1 import quota_service_pb2 as pb
from tenantmesh.tenant.v1.quota_service_pb2_grpc import QuotaServiceStub, add_QuotaServiceServicer_to_server
from tenantmesh.tenant_svc.allocations.allocations import Allocations
from tenantmesh.tenant_svc.allocations.servicer import AllocationServicer
from tenantmesh.tenant_svc.allowances.ledger import Ledger
from tenantmesh.tenant_svc.allowances.servicer import AllowanceServicer
from tenantmesh.tenant_svc.gauges.gauges import Gauges
from tenantmesh.tenant_svc.gauges.servicer import GaugeServicer
from tests.integration.tenant_svc.metering import Allowances
from tests.integration.tenant_svc.stage import eventually

SERVICES = pb.DESCRIPTOR.services_by_name.values()
TOO_MUCH = 2**53
DAY = timedelta(days=1)


@dataclass
class Quotas:
    """The running service, called with a service's key."""

    mesh: TestMesh
    target: str
    stub: Any
    health: Any

    def caller(self, kind: CallerKind, *permissions: str) -> Any:
        """Another caller's stub, good until the test run ends."""
        opened = self.mesh.client(self.target, token=self.mesh.key(kind, frozenset(permissions)))
        self.mesh.closing(opened.close)
        return QuotaServiceStub(opened)

    def knows(self, tenant: TenantId) -> str:
        """Makes the chain know the tenant, and returns its id as callers write it."""
        self.mesh.entitlements.set(Entitlements(tenant, "premium", 1, 1, {}, {}))
        self.mesh.tenants.set(TenantRecord(tenant, f"t-{tenant.hex}"[:40], TenantState.ACTIVE, "premium"))
        return str(tenant)


@pytest.fixture(scope="session")
async def quotas(ledger: Ledger, allocations: Allocations, gauges: Gauges) -> AsyncIterator[Quotas]:
    async with TestMesh() as mesh:
        servicer = quota_service(ledger, AllocationServicer(allocations), gauges)
        target = await mesh.serve(add_QuotaServiceServicer_to_server, servicer, pb.DESCRIPTOR)
        async with mesh.client(target, token=mesh.key(CallerKind.SERVICE)) as channel:
            yield Quotas(mesh, target, QuotaServiceStub(channel), health_of(channel))


async def refused(call: Any) -> tuple[grpc.StatusCode, status_pb2.Status]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    details = dict(caught.value.trailing_metadata() or ())["grpc-status-details-bin"]
    return caught.value.code(), status_pb2.Status.FromString(details)


def detail(status: status_pb2.Status, kind: Any) -> Any:
    found = kind()
    assert any(each.Unpack(found) for each in status.details)
    return found


async def reason(call: Any) -> tuple[grpc.StatusCode, str]:
    code, status = await refused(call)
    return code, detail(status, error_details_pb2.ErrorInfo).reason


async def fields(call: Any) -> list[str]:
    code, status = await refused(call)
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    return sorted(each.field for each in detail(status, error_details_pb2.BadRequest).field_violations)


def asks(*each: tuple[str, int, int]) -> list[pb.LeaseAsk]:
    return [pb.LeaseAsk(meter=meter, want=want, need=need) for meter, want, need in each]


def amounts(*each: tuple[str, int]) -> list[pb.Amount]:
    return [pb.Amount(meter=meter, amount=amount) for meter, amount in each]


async def test_leasing_and_returning(quotas: Quotas, allowances: Allowances) -> None:
    free = await allowances.feature()
    id_ = quotas.knows(await allowances.tenant(api_requests=10, **{free: None}))
    answer = await quotas.stub.Lease(pb.LeaseRequest(id=id_, asks=asks(("api_requests", 7, 1), (free, 5, 5))))
    limited, unlimited = answer.slices
    assert (limited.meter, limited.granted, limited.left, limited.limit) == ("api_requests", 7, 3, 10)
    assert (unlimited.meter, unlimited.granted, unlimited.limit, unlimited.unlimited) == (free, 5, 0, True)
    start = limited.period_start.ToDatetime(UTC)
    assert start == start.replace(hour=0, minute=0, second=0, microsecond=0)
    assert timedelta(0) < limited.ends_in.ToTimedelta() <= DAY
    back = pb.ReturnRequest(id=id_, meter="api_requests", amount=4, period_start=limited.period_start)
    assert await quotas.stub.Return(back) == pb.ReturnResponse(returned=4)
    answer = await quotas.stub.Lease(pb.LeaseRequest(id=id_, asks=asks(("api_requests", 100, 1))))
    assert answer.slices[0].granted == 7


async def test_what_is_answered_about_one_tenant_concerns_nobody_else(quotas: Quotas, allowances: Allowances) -> None:
    """A process that leases over gRPC: some tenants are refused, one waits for a lock until nobody answers."""
    stuck, other = await allowances.tenant(api_requests=1000), await allowances.tenant(api_requests=1000)
    for tenant in (stuck, other):
        quotas.knows(tenant)
    process = LeasedQuota(GrpcQuotaLedger(lambda: quotas.stub, lambda: quotas.health))
    await process.start()
    assert isinstance(await process.charge(stuck, (Charge("api_requests"),)), tuple)
    for _ in range(3):
        with pytest.raises(NotFound):
            await process.charge(TenantId(uuid.uuid4()), (Charge("api_requests"),))
    with pytest.raises(Internal, match="INVALID_ARGUMENT"):
        await process.charge(stuck, (Charge("api_requests", TOO_MUCH),))
    async with allowances.superuser.transaction():
        await allowances.superuser.execute("select from tenant.quota_ledger where tenant_id = $1 for update", stuck)
        with pytest.raises(StoreUnavailable, match="the ledger of allowances answered"):
            await process.charge(stuck, (Charge("api_requests", 5),))
        assert isinstance(await process.charge(other, (Charge("api_requests"),)), tuple)
        with pytest.raises(StoreUnavailable, match="a moment ago"):
            await process.charge(stuck, (Charge("api_requests", 5),))
    await process.close()


async def test_a_process_that_may_not_lease_is_told_so(quotas: Quotas, allowances: Allowances) -> None:
    quotas.knows(tenant := await allowances.tenant(api_requests=1000))
    powerless = quotas.caller(CallerKind.SERVICE, "tenants.read")
    with pytest.raises(StoreAway, match="PERMISSION_MISSING"):
        await GrpcQuotaLedger(lambda: powerless, lambda: quotas.health).lease(tenant, [Ask("api_requests", 1, 1)])


async def test_reserving(quotas: Quotas, allowances: Allowances) -> None:
    id_ = quotas.knows(await allowances.tenant(api_requests=10))
    request = pb.AllocateRequest(
        id=id_, amounts=amounts(("api_requests", 7)), request_id=str(uuid.uuid4()), time_to_live=Duration(seconds=60)
    )
    made = await quotas.stub.Allocate(request)
    assert made == await quotas.stub.Allocate(request)
    assert made.state == pb.ALLOCATION_STATE_RESERVED
    assert (list(made.allocated), list(made.committed)) == (amounts(("api_requests", 7)), [])
    assert made.expire_time.ToDatetime() - made.create_time.ToDatetime() == timedelta(seconds=60)
    # Another caller's request id is another request.
    assert await reason(quotas.caller(CallerKind.OPERATOR, "*").Allocate(request)) == (
        grpc.StatusCode.RESOURCE_EXHAUSTED, "QUOTA_EXHAUSTED",
    )  # fmt: skip
    commit = pb.CommitRequest(id=id_, allocation_id=made.id, amounts=amounts(("api_requests", 2)))
    done = await quotas.stub.Commit(commit)
    assert (done.id, done.state) == (made.id, pb.ALLOCATION_STATE_COMMITTED)
    assert list(done.committed) == amounts(("api_requests", 2))
    assert await reason(quotas.stub.Release(pb.ReleaseRequest(id=id_, allocation_id=made.id))) == (
        grpc.StatusCode.FAILED_PRECONDITION, "ALLOCATION_CLOSED",
    )  # fmt: skip
    checked = await quotas.stub.Allocate(
        pb.AllocateRequest(id=id_, amounts=amounts(("api_requests", 8)), mode=pb.ALLOCATION_MODE_CHECK_ONLY)
    )
    assert checked == pb.Allocation(allocated=amounts(("api_requests", 8)))
    best = await quotas.stub.Allocate(
        pb.AllocateRequest(id=id_, amounts=amounts(("api_requests", 80)), mode=pb.ALLOCATION_MODE_BEST_EFFORT)
    )
    assert list(best.allocated) == amounts(("api_requests", 8))
    released = await quotas.stub.Release(pb.ReleaseRequest(id=id_, allocation_id=best.id))
    assert (released.state, list(released.committed)) == (pb.ALLOCATION_STATE_RELEASED, [])


async def test_what_was_reserved_before_a_suspension_is_settled_and_nothing_more_is_reserved(
    quotas: Quotas, allowances: Allowances
) -> None:
    tenant = await allowances.tenant(api_requests=10)
    id_ = quotas.knows(tenant)
    request = pb.AllocateRequest(id=id_, amounts=amounts(("api_requests", 4)))
    used, unused = [await quotas.stub.Allocate(request) for _ in range(2)]
    quotas.mesh.tenants.set(TenantRecord(tenant, f"t-{tenant.hex}"[:40], TenantState.SUSPENDED, "premium"))
    request.mode = pb.ALLOCATION_MODE_BEST_EFFORT

    async def is_refused() -> bool:
        try:
            await quotas.stub.Allocate(request)
        except grpc.aio.AioRpcError:
            return True
        return False

    await eventually(is_refused)
    assert (await reason(quotas.stub.Allocate(request)))[1] == "TENANT_SUSPENDED"
    committed = await quotas.stub.Commit(pb.CommitRequest(id=id_, allocation_id=used.id))
    released = await quotas.stub.Release(pb.ReleaseRequest(id=id_, allocation_id=unused.id))
    assert (committed.state, released.state) == (pb.ALLOCATION_STATE_COMMITTED, pb.ALLOCATION_STATE_RELEASED)


def quota_service(ledger: Ledger, allocations: AllocationServicer, gauges: Gauges) -> JoinedServicer:
    service = pb.DESCRIPTOR.services_by_name["QuotaService"]
    return JoinedServicer(service, AllowanceServicer(ledger), allocations, GaugeServicer(gauges))


class Forgetful(AllocationServicer):
    """Reserves, and answers the first two times as if it had not: as where the answer of a COMMIT is lost."""

    lost = 0

    async def Allocate(self, request: pb.AllocateRequest, context: Any) -> pb.Allocation:
        made = await super().Allocate(request, context)
        if self.lost < 2:
            self.lost += 1
            raise Unavailable("COMMIT_UNKNOWN", "Whether it was stored is not known.")
        return made


@pytest.mark.parametrize("kind", ["aio", "threads"])
async def test_a_reservation_whose_answer_is_lost_is_made_once_without_a_request_id(
    quotas: Quotas, allowances: Allowances, allocations: Allocations, ledger: Ledger, gauges: Gauges, kind: str
) -> None:
    tenant = await allowances.tenant(api_requests=100)
    forgetful = Forgetful(allocations)
    service = quota_service(ledger, forgetful, gauges)
    target = await quotas.mesh.serve(add_QuotaServiceServicer_to_server, service, pb.DESCRIPTOR)
    key = Credential(quotas.mesh.key(CallerKind.SERVICE))
    request = pb.AllocateRequest(id=quotas.knows(tenant), amounts=amounts(("api_requests", 7)))
    if kind == "aio":
        async with channel(target, services=SERVICES, credential=key) as opened:
            made = await QuotaServiceStub(opened).Allocate(request)
    else:
        with thread_channel(target, services=SERVICES, credential=key) as opened:
            made = await asyncio.to_thread(QuotaServiceStub(opened).Allocate, request)
    assert (forgetful.lost, list(made.allocated)) == (2, amounts(("api_requests", 7)))
    assert await allowances.given(tenant, "api_requests") == [(7, 7)]
    assert not request.request_id, "the caller's message is the caller's: sent again, it asks for another"


async def test_a_refusal_says_which_limit_and_when_it_resets(quotas: Quotas, allowances: Allowances) -> None:
    id_ = quotas.knows(await allowances.tenant(api_requests=10))
    request = pb.AllocateRequest(id=id_, amounts=amounts(("api_requests", 11)))
    code, status = await refused(quotas.stub.Allocate(request))
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    info = detail(status, error_details_pb2.ErrorInfo)
    assert (info.reason, info.metadata["meter"], info.metadata["limit"]) == ("QUOTA_EXHAUSTED", "api_requests", "10")
    (violation,) = detail(status, error_details_pb2.QuotaFailure).violations
    assert (violation.subject, violation.description) == (f"tenant:{id_}", "10 of api_requests in a period")
    assert (violation.quota_metric, violation.quota_id, violation.quota_value) == ("api_requests", "allowance", 10)
    assert timedelta(0) < detail(status, error_details_pb2.RetryInfo).retry_delay.ToTimedelta() <= DAY


async def test_a_level_that_may_not_rise_says_by_which_limit_and_not_to_wait(
    quotas: Quotas, allowances: Allowances
) -> None:
    id_ = quotas.knows(await allowances.tenant(storage_bytes=10))
    request = pb.AdjustGaugeRequest(id=id_, gauge="storage_bytes", delta=11, key="an object")
    _, status = await refused(quotas.stub.AdjustGauge(request))
    (violation,) = detail(status, error_details_pb2.QuotaFailure).violations
    assert (violation.subject, violation.description) == (f"tenant:{id_}", "at most 10 storage_bytes at a time")
    assert (violation.quota_metric, violation.quota_id, violation.quota_value) == ("storage_bytes", "level", 10)
    assert not any(each.Is(error_details_pb2.RetryInfo.DESCRIPTOR) for each in status.details)


async def test_levels(quotas: Quotas, allowances: Allowances) -> None:
    reported = await allowances.feature("GAUGE")
    id_ = quotas.knows(await allowances.tenant(storage_bytes=10, **{reported: None}))
    up = pb.AdjustGaugeRequest(id=id_, gauge="storage_bytes", delta=8, key="object 1")
    assert await quotas.stub.AdjustGauge(up) == pb.Gauge(gauge="storage_bytes", level=8, limit=10)
    assert await quotas.stub.AdjustGauge(up) == pb.Gauge(gauge="storage_bytes", level=8, limit=10)
    up.key = "object 2"
    assert await reason(quotas.stub.AdjustGauge(up)) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "LIMIT_REACHED")
    up.delta, up.key = 7, "object 1"
    assert await reason(quotas.stub.AdjustGauge(up)) == (grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED")
    told = pb.ReportGaugeRequest(id=id_, gauge=reported, level=3, version=1)
    assert await quotas.stub.ReportGauge(told) == pb.Gauge(gauge=reported, level=3, unlimited=True)
    up.gauge = reported
    assert await reason(quotas.stub.AdjustGauge(up)) == (grpc.StatusCode.FAILED_PRECONDITION, "GAUGE_REPORTED")


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ([], ["asks"]),
        (asks(*((f"m{number}", 1, 1) for number in range(17))), ["asks"]),
        (asks(("api_requests", 1, 1), ("api_requests", 1, 1)), ["asks[1].meter"]),
        (asks(("Nul\x00", 1, 1)), ["asks[0].meter"]),
        (asks(("api_requests", 1, 0), ("users", 1, -1)), ["asks[0].need", "asks[1].need"]),
        (asks(("api_requests", 3, 4)), ["asks[0].want"]),
        (asks(("api_requests", TOO_MUCH, 1)), ["asks[0].want"]),
    ],
)
async def test_bad_leases_are_named(
    quotas: Quotas, allowances: Allowances, wrong: list[pb.LeaseAsk], named: list[str]
) -> None:
    id_ = quotas.knows(await allowances.tenant())
    assert await fields(quotas.stub.Lease(pb.LeaseRequest(id=id_, asks=wrong))) == named


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"meter": "no id", "amount": 1}, ["meter", "period_start"]),
        ({"amount": 0, "period_start": Timestamp(seconds=1)}, ["amount"]),
        ({"amount": TOO_MUCH, "period_start": Timestamp(seconds=1)}, ["amount"]),
        ({"amount": 1, "period_start": Timestamp(seconds=2**62)}, ["period_start"]),
    ],
)
async def test_bad_returns_are_named(
    quotas: Quotas, allowances: Allowances, wrong: dict[str, Any], named: list[str]
) -> None:
    id_ = quotas.knows(await allowances.tenant())
    request = pb.ReturnRequest(**{"id": id_, "meter": "api_requests", **wrong})
    assert await fields(quotas.stub.Return(request)) == named


async def test_a_return_of_any_time_that_can_be_written_is_answered(quotas: Quotas, allowances: Allowances) -> None:
    id_ = quotas.knows(await allowances.tenant())
    first, last = -62_135_596_800, 253_402_300_799  # the years 1 and 9999
    for seconds, nanos, accepted in (
        (first, -1, False), (first, 0, False), (first, 1_000, True), (0, -1, False), (0, 0, True),
        (last, 999_998_999, True), (last, 999_999_000, False), (last + 1, 0, False),
    ):  # fmt: skip
        start = Timestamp(seconds=seconds, nanos=nanos)
        request = pb.ReturnRequest(id=id_, meter="api_requests", amount=1, period_start=start)
        if accepted:
            assert await reason(quotas.stub.Return(request)) == (grpc.StatusCode.NOT_FOUND, "LEASE_NOT_FOUND")
        else:
            assert await fields(quotas.stub.Return(request)) == ["period_start"]


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"amounts": []}, ["amounts"]),
        ({"amounts": amounts(*((f"m{number}", 1) for number in range(17)))}, ["amounts"]),
        ({"amounts": amounts(("api_requests", 0), ("", 1))}, ["amounts[0].amount", "amounts[1].meter"]),
        ({"amounts": amounts(("api_requests", TOO_MUCH))}, ["amounts[0].amount"]),
        ({"amounts": amounts(("api_requests", 1), ("api_requests", 2))}, ["amounts[1].meter"]),
        ({"time_to_live": Duration(nanos=999_999_999)}, ["time_to_live"]),
        ({"time_to_live": Duration(seconds=86_401)}, ["time_to_live"]),
        ({"time_to_live": Duration(seconds=2**62)}, ["time_to_live"]),
        ({"mode": 77, "time_to_live": Duration(seconds=-1)}, ["mode", "time_to_live"]),
        ({"request_id": "not a uuid"}, ["request_id"]),
    ],
)  # fmt: skip
async def test_bad_reservations_are_named(
    quotas: Quotas, allowances: Allowances, wrong: dict[str, Any], named: list[str]
) -> None:
    id_ = quotas.knows(await allowances.tenant())
    request = pb.AllocateRequest(**{"id": id_, "amounts": amounts(("api_requests", 1)), **wrong})
    assert await fields(quotas.stub.Allocate(request)) == named


@pytest.mark.parametrize("seconds", [1, 86_400])
async def test_the_shortest_and_the_longest_reservation(quotas: Quotas, allowances: Allowances, seconds: int) -> None:
    id_ = quotas.knows(await allowances.tenant(api_requests=10))
    lasts = Duration(seconds=seconds)
    made = await quotas.stub.Allocate(
        pb.AllocateRequest(id=id_, amounts=amounts(("api_requests", 1)), time_to_live=lasts)
    )
    assert made.expire_time.seconds - made.create_time.seconds == seconds


@pytest.mark.parametrize("allocation", ["", "x", str(uuid.UUID(int=0)), "0192aaaa-0000-7000-8000-000000000001"])
async def test_what_was_never_reserved_is_not_found(quotas: Quotas, allowances: Allowances, allocation: str) -> None:
    id_ = quotas.knows(await allowances.tenant())
    missing = (grpc.StatusCode.NOT_FOUND, "ALLOCATION_NOT_FOUND")
    assert await reason(quotas.stub.Commit(pb.CommitRequest(id=id_, allocation_id=allocation))) == missing
    assert await reason(quotas.stub.Release(pb.ReleaseRequest(id=id_, allocation_id=allocation))) == missing


async def test_bad_commits_are_named(quotas: Quotas, allowances: Allowances) -> None:
    id_ = quotas.knows(await allowances.tenant(api_requests=10))
    made = await quotas.stub.Allocate(pb.AllocateRequest(id=id_, amounts=amounts(("api_requests", 5))))
    for wrong, named in [
        (amounts(("api_requests", -1)), ["amounts[0].amount"]),
        (amounts(("api_requests", 1), ("api_requests", 1)), ["amounts[1].meter"]),
        (amounts(("api_requests", 6)), ["amounts"]),
        (amounts(("users", 1)), ["amounts"]),
    ]:
        request = pb.CommitRequest(id=id_, allocation_id=made.id, amounts=wrong)
        assert await fields(quotas.stub.Commit(request)) == named
    nothing = pb.CommitRequest(id=id_, allocation_id=made.id, amounts=amounts(("api_requests", 0)))
    assert list((await quotas.stub.Commit(nothing)).committed) == amounts(("api_requests", 0))


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"delta": 0}, ["delta"]),
        ({"delta": TOO_MUCH}, ["delta"]),
        ({"delta": -(2**63)}, ["delta"]),
        ({"key": ""}, ["key"]),
        ({"key": "k" * 201}, ["key"]),
        ({"key": "nul\x00"}, ["key"]),
        ({"gauge": ""}, ["gauge"]),
    ],
)
async def test_bad_changes_of_levels_are_named(
    quotas: Quotas, allowances: Allowances, wrong: dict[str, Any], named: list[str]
) -> None:
    id_ = quotas.knows(await allowances.tenant())
    request = pb.AdjustGaugeRequest(**{"id": id_, "gauge": "storage_bytes", "delta": 1, "key": "k" * 200, **wrong})
    assert await fields(quotas.stub.AdjustGauge(request)) == named


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"level": -1}, ["level"]),
        ({"level": TOO_MUCH}, ["level"]),
        ({"version": 0}, ["version"]),
        ({"gauge": "?"}, ["gauge"]),
    ],
)
async def test_bad_reports_are_named(
    quotas: Quotas, allowances: Allowances, wrong: dict[str, Any], named: list[str]
) -> None:
    id_ = quotas.knows(await allowances.tenant())
    request = pb.ReportGaugeRequest(**{"id": id_, "gauge": "users", "level": 1, "version": 1, **wrong})
    assert await fields(quotas.stub.ReportGauge(request)) == named


async def test_who_may_not_is_refused(quotas: Quotas, allowances: Allowances) -> None:
    id_ = quotas.knows(await allowances.tenant())
    operator = quotas.caller(CallerKind.OPERATOR, "*")
    powerless = quotas.caller(CallerKind.SERVICE, "tenants.read")
    denied = grpc.StatusCode.PERMISSION_DENIED
    lease = pb.LeaseRequest(id=id_, asks=asks(("api_requests", 1, 1)))
    assert await reason(operator.Lease(lease)) == (denied, "AUDIENCE_NOT_ALLOWED")
    assert await reason(powerless.Lease(lease)) == (denied, "PERMISSION_MISSING")
    unknown = pb.LeaseRequest(id=str(uuid.uuid4()), asks=asks(("api_requests", 1, 1)))
    assert await reason(quotas.stub.Lease(unknown)) == (grpc.StatusCode.NOT_FOUND, "TENANT_NOT_FOUND")
    missing = pb.LeaseRequest(id=id_, asks=asks(("users", 1, 1)))
    assert await reason(quotas.stub.Lease(missing)) == (grpc.StatusCode.NOT_FOUND, "FEATURE_NOT_FOUND")
