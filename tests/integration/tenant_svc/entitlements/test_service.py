"""EntitlementService as callers meet it: over gRPC, behind the chain, on a real database."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from google.protobuf.json_format import MessageToDict, ParseDict
from google.rpc import code_pb2

from tenantmesh.chassis.doors import Doors
from tenantmesh.chassis.event_log.tail import Tail
from tenantmesh.chassis.event_log.watch import Watch
from tenantmesh.chassis.servicers import JoinedServicer
from tenantmesh.interceptors.backends.grpc.entitlements import GrpcEntitlementSource
from tenantmesh.interceptors.caller import CallerKind
from tenantmesh.interceptors.errors import PermissionDenied
from tenantmesh.interceptors.testing import TestMesh
from tenantmesh.runtime.database import Database
from tenantmesh.tenant.v1 import entitlement_pb2, plan_pb2
from tenantmesh.tenant.v1 import entitlement_service_pb2 as pb
from tenantmesh.tenant.v1.entitlement_service_pb2_grpc import (
    EntitlementServiceStub,
    add_EntitlementServiceServicer_to_server,
)
from tenantmesh.tenant_svc.catalog_log.repository import ENTITLEMENTS_CHANNEL
from tenantmesh.tenant_svc.checks.checks import Checks
from tenantmesh.tenant_svc.checks.servicer import CheckServicer
from tenantmesh.tenant_svc.entitlements.entitlements import EntitlementQueries
from tenantmesh.tenant_svc.entitlements.servicer import EntitlementServicer
from tenantmesh.tenant_svc.entitlements.source import for_the_chain
from tenantmesh.tenant_svc.features.feature import FeatureValue, Rollout
from tenantmesh.tenant_svc.features.features import FeatureChange, Features
from tenantmesh.tenant_svc.features.rules import FeatureDraft
from tenantmesh.tenant_svc.grants.grants import Grants
from tenantmesh.tenant_svc.grants.servicer import GrantServicer
from tenantmesh.tenant_svc.history.events import StoredEntitlementEvents
from tenantmesh.tenant_svc.history.history import History
from tenantmesh.tenant_svc.history.servicer import HistoryServicer
from tenantmesh.tenant_svc.overrides.overrides import Overrides
from tenantmesh.tenant_svc.overrides.servicer import OverrideServicer
from tenantmesh.tenant_svc.plans.plans import Plans, VersionRef
from tenantmesh.tenant_svc.plans.repository import plan_ids
from tenantmesh.tenant_svc.tenants.tenant import Tenant
from tests.integration.tenant_svc.catalog import plan_draft
from tests.integration.tenant_svc.entitled import ACTOR, METER, Pool, Rows, grant_draft
from tests.integration.tenant_svc.serving import info_of, refusal

WINDOW = 10


class Served:
    """The service, and stubs of its callers."""

    def __init__(self, mesh: TestMesh, target: str) -> None:
        self._mesh = mesh
        self._target = target
        self.operator_key = mesh.key()
        self.operator = self.stub(self.operator_key)
        self.service = self.stub(mesh.key(CallerKind.SERVICE, frozenset({"entitlements.read", "entitlements.watch"})))

    def stub(self, credential: str) -> Any:
        return EntitlementServiceStub(self._mesh.client(self._target, token=credential))

    def user(self, tenant: Tenant, *roles: str) -> Any:
        return self.stub(self._mesh.token(tenant.record, roles))


@pytest.fixture
async def served(
    database: Database,
    doors: Doors,
    entitlements: EntitlementQueries,
    checks: Checks,
    overrides: Overrides,
    grants: Grants,
    history: History,
    acme: Tenant,
    globex: Tenant,
) -> AsyncIterator[Served]:
    events = StoredEntitlementEvents(doors)
    tail = Tail(events, window=WINDOW)
    await tail.start()
    watch = Watch(events, tail, checkpoint_interval=timedelta(milliseconds=200))
    servicer = JoinedServicer(
        pb.DESCRIPTOR.services_by_name["EntitlementService"],
        EntitlementServicer(entitlements),
        CheckServicer(checks),
        OverrideServicer(overrides),
        GrantServicer(grants),
        HistoryServicer(history, watch),
    )
    async with TestMesh() as mesh, database.listen(ENTITLEMENTS_CHANNEL, lambda _payload: tail.wake()):
        for tenant in (acme, globex):
            found = await entitlements.find(tenant.id)
            assert found is not None
            mesh.tenants.set(tenant.record)
            mesh.entitlements.set(for_the_chain(found))
        target = await mesh.serve(add_EntitlementServiceServicer_to_server, servicer, pb.DESCRIPTOR)
        yield Served(mesh, target)
    await tail.close()


def one(found: entitlement_pb2.Entitlements, feature: str) -> entitlement_pb2.Entitlement:
    return next(each for each in found.entitlements if each.feature == feature)


def override(feature: str, reason: str = "why", **value: Any) -> entitlement_pb2.Override:
    return entitlement_pb2.Override(feature=feature, value=plan_pb2.FeatureValue(**value), reason=reason)


async def test_a_user_sees_all_that_the_tenant_is_entitled_to(
    served: Served, acme: Tenant, rows: Rows, pool: Pool
) -> None:
    await rows.spent(acme.id, 12, 12)
    await rows.level(acme.id, "users", 3)
    pool.units[acme.id, METER] = 2
    stub = served.user(acme, "owner")
    found = await stub.GetEntitlements(pb.GetEntitlementsRequest(id=acme.slug))
    assert (found.tenant_id, found.plan_id, found.plan_version) == (str(acme.id), "premium", 1)
    assert [(each.rate_class, each.per_second, each.burst) for each in found.rates] == [("api", 200, 400)]
    meter = one(found, METER)
    assert (meter.type, meter.period, meter.unit) == (plan_pb2.FEATURE_TYPE_METERED, plan_pb2.PERIOD_DAY, "request")
    assert (meter.usage.used, meter.usage.limit, meter.usage.remaining) == (10, 10_000, 9_990)
    assert meter.usage.reset_time.seconds - meter.usage.period_start.seconds == 86_400
    users = one(found, "users")
    assert (users.usage.used, users.usage.limit, users.value.limit) == (3, 1000, 1000)
    assert users.source == entitlement_pb2.ENTITLEMENT_SOURCE_PLAN
    assert not users.HasField("override_value")
    assert not found.HasField("valid_for")
    basic = await stub.GetEntitlements(pb.GetEntitlementsRequest(id=acme.slug, view=pb.ENTITLEMENT_VIEW_BASIC))
    assert not any(each.HasField("usage") for each in basic.entitlements)
    for each in found.entitlements:
        each.ClearField("usage")
    assert basic == found


async def test_what_is_nobody_elses_business_is_not_found(served: Served, acme: Tenant, globex: Tenant) -> None:
    stub = served.user(acme, "owner")
    for id_ in (str(globex.id), globex.slug, str(uuid.uuid4())):
        code, _ = await refusal(stub.GetEntitlements(pb.GetEntitlementsRequest(id=id_)))
        assert code is grpc.StatusCode.NOT_FOUND
    request = pb.SetOverrideRequest(id=str(acme.id), feature="users", override=override("users", limit=9))
    assert (await refusal(stub.SetOverride(request)))[0] is grpc.StatusCode.PERMISSION_DENIED
    batch = pb.BatchCheckEntitlementsRequest(checks=[pb.CheckEntitlementRequest(id=str(acme.id), feature="core")])
    assert (await refusal(stub.BatchCheckEntitlements(batch)))[0] is grpc.StatusCode.PERMISSION_DENIED


async def test_an_operator_overrides_and_the_history_names_the_credential(
    served: Served, acme: Tenant, globex: Tenant
) -> None:
    request = pb.SetOverrideRequest(id=acme.slug, feature="users", override=override("users", "a favour", limit=7))
    request.override.expire_time.FromDatetime(datetime.now(UTC) + timedelta(hours=1))
    made = await served.operator.SetOverride(request)
    assert (made.feature, made.value.limit, made.reason) == ("users", 7, "a favour")
    assert made.expire_time.seconds == request.override.expire_time.seconds
    found = await served.operator.GetEntitlements(pb.GetEntitlementsRequest(id=acme.slug))
    users = one(found, "users")
    assert (users.value.limit, users.plan_value.limit, users.override_value.limit) == (7, 1000, 7)
    assert users.source == entitlement_pb2.ENTITLEMENT_SOURCE_OVERRIDE
    assert 3_500 < found.valid_for.seconds <= 3_600
    assert list((await served.operator.ListOverrides(pb.ListOverridesRequest(id=acme.slug))).overrides) == [made]
    await served.operator.ClearOverride(pb.ClearOverrideRequest(id=acme.slug, feature="users", reason="enough"))
    listing = pb.ListEntitlementChangesRequest(id=acme.slug, page_size=1)
    first = await served.operator.ListEntitlementChanges(listing)
    listing.page_token = first.next_page_token
    second = await served.operator.ListEntitlementChanges(listing)
    listing.page_token = second.next_page_token
    (begun,) = (await served.operator.ListEntitlementChanges(listing)).changes
    assert (begun.type, begun.after) == (entitlement_pb2.ENTITLEMENT_CHANGE_TYPE_PLAN_CHANGED, "premium@1")
    changes = [*first.changes, *second.changes]
    assert [(each.type, each.feature, each.reason) for each in changes] == [
        (entitlement_pb2.ENTITLEMENT_CHANGE_TYPE_OVERRIDE_CLEARED, "users", "enough"),
        (entitlement_pb2.ENTITLEMENT_CHANGE_TYPE_OVERRIDE_SET, "users", "a favour"),
    ]
    assert {each.actor for each in changes} == {served.operator_key[4:12]}
    theirs = await served.operator.ListEntitlementChanges(pb.ListEntitlementChangesRequest(id=globex.slug))
    assert [each.after for each in theirs.changes] == ["premium@1"]


async def test_users_learn_what_changed_but_not_why_and_by_whose_credential(served: Served, acme: Tenant) -> None:
    private = "a discount, do not tell"
    request = pb.SetOverrideRequest(id=acme.slug, feature=METER, override=override(METER, private, limit=7))
    await served.operator.SetOverride(request)
    grant = entitlement_pb2.Grant(feature=METER, amount=5, reason=private)
    await served.operator.CreateGrant(pb.CreateGrantRequest(id=acme.slug, grant=grant))

    async def answers(stub: Any) -> list[Any]:
        return [
            await stub.ListEntitlementChanges(pb.ListEntitlementChangesRequest(id=acme.slug)),
            await stub.ExplainEntitlement(pb.ExplainEntitlementRequest(id=acme.slug, feature=METER)),
            await stub.ListGrants(pb.ListGrantsRequest(id=acme.slug)),
        ]

    for stub in (served.operator, served.service):
        assert all(private in str(each) for each in await answers(stub))
        history, explained, _ = await answers(stub)
        assert history.changes[0].actor == explained.recent_changes[0].actor == served.operator_key[4:12]
    user = served.user(acme, "owner")
    history, explained, grants = await answers(user)
    assert not any(told in str([history, explained, grants]) for told in (private, served.operator_key[4:12]))
    set_ = history.changes[1]
    assert (set_.type, set_.feature) == (entitlement_pb2.ENTITLEMENT_CHANGE_TYPE_OVERRIDE_SET, METER)
    assert (set_.after, set_.HasField("create_time")) == ("7 requests a day", True)
    assert "An override for this tenant sets 7 requests a day instead." in explained.steps
    assert (explained.grants[0].amount, grants.grants[0].remaining) == (5, 5)


async def test_only_operators_are_told_of_other_customers_plans(
    served: Served, doors: Doors, acme: Tenant, rows: Rows
) -> None:
    flag, plans = await rows.feature(), Plans(doors)
    made = await plans.create(plan_draft((flag, FeatureValue.of_boolean(True))))
    await plans.publish(VersionRef(made.id), ACTOR)
    rollout = FeatureDraft("", None, "", "", None, Rollout(0, (made.id,)))
    await Features(doors, plan_ids).change(flag, FeatureChange(rollout, frozenset({"rollout"}), ""), ACTOR)

    async def answers(stub: Any) -> list[str]:
        explained = await stub.ExplainEntitlement(pb.ExplainEntitlementRequest(id=acme.slug, feature=flag))
        history = await stub.ListEntitlementChanges(pb.ListEntitlementChangesRequest(id=acme.slug))
        return [str(explained.decision), str(explained.steps), str(explained.recent_changes), str(history)]

    assert all(made.id in each for each in await answers(served.operator))
    for stub in (served.user(acme, "owner"), served.service):
        assert not any(made.id in each for each in await answers(stub))


async def test_another_process_refuses_without_naming_other_customers_plans(
    served: Served, doors: Doors, acme: Tenant, rows: Rows
) -> None:
    flag, plans = await rows.feature(), Plans(doors)
    made = await plans.create(plan_draft((flag, FeatureValue.of_boolean(True))))
    await plans.publish(VersionRef(made.id), ACTOR)

    async def named() -> str:
        found = await GrpcEntitlementSource(lambda: served.service).find(acme.id)
        assert found is not None
        with pytest.raises(PermissionDenied) as caught:
            found.require(flag)
        return caught.value.metadata["plans"]

    assert await named() == "enterprise"
    await plans.set_listed(made.id, True, ACTOR)
    assert await named() == f"enterprise,{made.id}"


@pytest.mark.parametrize(
    ("body", "code", "reason"),
    [
        ({"value": {"enabled": True}}, "INVALID_ARGUMENT", "INVALID_FIELD"),
        ({}, "INVALID_ARGUMENT", "INVALID_FIELD"),
        ({"value": {"unlimited": False}}, "INVALID_ARGUMENT", "INVALID_FIELD"),
        ({"feature": "core", "value": {"limit": "1"}}, "INVALID_ARGUMENT", "INVALID_FIELD"),
    ],
)
async def test_a_wrong_override_is_refused(
    served: Served, acme: Tenant, body: dict[str, Any], code: str, reason: str
) -> None:
    request = pb.SetOverrideRequest(id=acme.slug, feature="users", override=ParseDict(body, entitlement_pb2.Override()))
    found_code, found_reason = await refusal(served.operator.SetOverride(request))
    assert (found_code.name, found_reason) == (code, reason)


async def test_times_beyond_all_years_are_refused(served: Served, acme: Tenant) -> None:
    request = pb.CreateGrantRequest(id=acme.slug, grant=entitlement_pb2.Grant(feature=METER, amount=1))
    for seconds, nanos in ((10**15, 0), (-(10**15), 0), (0, -5), (0, 10**9)):
        request.grant.expire_time.seconds, request.grant.expire_time.nanos = seconds, nanos
        code, reason = await refusal(served.operator.CreateGrant(request))
        assert (code.name, reason) == ("INVALID_ARGUMENT", "INVALID_FIELD"), (seconds, nanos)


async def test_a_grant_is_made_once_listed_and_voided(served: Served, acme: Tenant, globex: Tenant) -> None:
    request = pb.CreateGrantRequest(
        id=acme.slug,
        grant=entitlement_pb2.Grant(feature=METER, amount=5, priority=3, max_rollover=0, reason="top-up"),
        request_id=str(uuid.uuid4()),
    )
    made = [await served.operator.CreateGrant(request) for _ in range(3)]
    assert made[0] == made[1] == made[2]
    assert (made[0].remaining, made[0].HasField("max_rollover"), made[0].max_rollover) == (5, True, 0)
    request.grant.amount = 6
    code, reason = await refusal(served.operator.CreateGrant(request))
    assert (code.name, reason) == ("ALREADY_EXISTS", "REQUEST_ID_REUSED")
    request.request_id = "no uuid"
    assert (await refusal(served.operator.CreateGrant(request)))[1] == "INVALID_FIELD"
    listing = pb.ListGrantsRequest(id=acme.slug)
    assert list((await served.service.ListGrants(listing)).grants) == [made[0]]
    user = served.user(acme, "owner")
    found = await user.GetEntitlements(pb.GetEntitlementsRequest(id=acme.slug))
    assert one(found, METER).granted == 5
    for tenant, grant_id in ((globex, made[0].id), (acme, str(uuid.uuid4())), (acme, "no uuid"), (acme, "")):
        void = pb.VoidGrantRequest(id=tenant.slug, grant_id=grant_id)
        code, reason = await refusal(served.operator.VoidGrant(void))
        assert (code.name, reason) == ("NOT_FOUND", "GRANT_NOT_FOUND")
    void = pb.VoidGrantRequest(id=acme.slug, grant_id=made[0].id, reason="refunded")
    voided = await served.operator.VoidGrant(void)
    assert voided.remaining == 0
    assert voided.HasField("void_time")
    assert await served.operator.VoidGrant(void) == voided


async def test_a_check_and_an_explanation_say_the_same(served: Served, acme: Tenant, rows: Rows) -> None:
    await rows.level(acme.id, "users", 1000)
    user = served.user(acme, "owner")
    decision = await user.CheckEntitlement(pb.CheckEntitlementRequest(id=acme.slug, feature="users"))
    assert (decision.allowed, decision.reason) == (False, "LIMIT_REACHED")
    assert decision.entitlement.usage.remaining == 0
    told = await user.ExplainEntitlement(pb.ExplainEntitlementRequest(id=acme.slug, feature="users"))
    assert told.decision == decision
    assert told.steps[0] == "The plan premium, version 1, allows 1000 users."
    assert "LIMIT_REACHED" in told.steps[-1]
    request = pb.CheckEntitlementRequest(id=acme.slug, feature="no_such")
    assert (await refusal(user.CheckEntitlement(request)))[1] == "FEATURE_NOT_FOUND"


async def test_a_batch_of_a_thousand_is_answered_in_order_and_one_more_refused(
    served: Served, acme: Tenant, globex: Tenant
) -> None:
    some = [
        pb.CheckEntitlementRequest(id=str(acme.id), feature="biometric_auth"),
        pb.CheckEntitlementRequest(id=globex.slug, feature=METER, amount=10_001),
        pb.CheckEntitlementRequest(id=str(uuid.uuid4()), feature="core"),
        pb.CheckEntitlementRequest(id=globex.slug, feature=""),
    ]
    answer = await served.service.BatchCheckEntitlements(pb.BatchCheckEntitlementsRequest(checks=some * 250))
    assert len(answer.results) == 1000
    for place in range(0, 1000, 4):
        allowed, exhausted, unknown, invalid = answer.results[place : place + 4]
        assert allowed.decision.allowed
        assert exhausted.decision.reason == "QUOTA_EXHAUSTED"
        assert exhausted.decision.entitlement.usage.limit == 10_000
        assert (unknown.error.code, info_of(unknown.error).reason) == (code_pb2.NOT_FOUND, "TENANT_NOT_FOUND")
        assert (invalid.error.code, info_of(invalid.error).reason) == (code_pb2.INVALID_ARGUMENT, "INVALID_FIELD")
    for checks in (some * 250 + some[:1], []):
        request = pb.BatchCheckEntitlementsRequest(checks=checks)
        assert (await refusal(served.service.BatchCheckEntitlements(request)))[1] == "INVALID_FIELD"


async def test_a_watch_begins_at_once_and_tells_what_happens(served: Served, acme: Tenant, globex: Tenant) -> None:
    stream = served.service.WatchEntitlements(pb.WatchEntitlementsRequest())
    first = await asyncio.wait_for(stream.read(), 30)
    assert (first.checkpoint.caught_up, bool(first.cursor)) == (True, True)
    for tenant, limit in ((acme, 1), (globex, 2), (acme, 3)):
        request = pb.SetOverrideRequest(id=tenant.slug, feature="users", override=override("users", limit=limit))
        await served.operator.SetOverride(request)
    told = await results(stream, 3)
    assert [(each.result.tenant_id, each.result.change.after) for each in told] == [
        (str(acme.id), "1 user"),
        (str(globex.id), "2 users"),
        (str(acme.id), "3 users"),
    ]
    assert MessageToDict(told[0].result)["planId"] == "premium"
    stream.cancel()
    resumed = served.service.WatchEntitlements(pb.WatchEntitlementsRequest(cursor=told[0].cursor))
    assert [each.result for each in await results(resumed, 2)] == [each.result for each in told[1:]]
    resumed.cancel()
    snapshot = served.service.WatchEntitlements(pb.WatchEntitlementsRequest(snapshot=True))
    (some, *_) = await results(snapshot, 1)
    assert some.result.change.type == entitlement_pb2.ENTITLEMENT_CHANGE_TYPE_SNAPSHOT
    snapshot.cancel()


def as_json(value: Any) -> str:
    """Says 5 for 5 and 5.0 for 5.0, which are equal."""
    return json.dumps(value, sort_keys=True)


async def test_another_process_sees_what_this_one_does(
    served: Served, acme: Tenant, rows: Rows, entitlements: EntitlementQueries, grants: Grants
) -> None:
    theme = await rows.feature("STATIC")
    told_of_theme = {"columns": 5, "ratio": 0.5, "names": ["a", True, {"deep": [2**53, -1]}]}
    override = entitlement_pb2.Override(value=ParseDict({"static": told_of_theme}, plan_pb2.FeatureValue()))
    await served.operator.SetOverride(pb.SetOverrideRequest(id=acme.slug, feature=theme, override=override))
    granted, barred = await rows.feature("METERED", period="DAY"), await rows.feature("METERED", period="DAY")
    await grants.create(acme.id, grant_draft(100, granted), None, ACTOR)
    own = await entitlements.find(acme.id)
    told = await GrpcEntitlementSource(lambda: served.service).find(acme.id)
    assert own is not None
    assert told is not None
    assert told == for_the_chain(own)
    assert (told.has(granted), told.has(barred)) == (True, False), "a grant alone gives the feature"
    assert as_json(told.value(theme)) == as_json(told_of_theme), "integers are no floats"


async def test_another_process_is_told_when_a_watch_that_resumes_has_caught_up(served: Served, acme: Tenant) -> None:
    source, told = GrpcEntitlementSource(lambda: served.service), []
    request = pb.SetOverrideRequest(id=acme.slug, feature="users", override=override("users", limit=1))
    async with asyncio.timeout(30):
        watch = source.watch(None)
        start = await anext(watch)
        await served.operator.SetOverride(request)
        await anext(watch)
        async for change in source.watch(start.cursor):
            told.append((change.tenant_id, change.caught_up))
            if change.caught_up:
                break
    assert start.caught_up
    assert told == [(None, False), (acme.id, False), (None, True)]


async def results(stream: Any, count: int) -> list[pb.WatchEntitlementsResponse]:
    """The next messages that tell of something."""
    found: list[pb.WatchEntitlementsResponse] = []
    async with asyncio.timeout(30):
        while len(found) < count:
            message = await stream.read()
            assert message.WhichOneof("event") != "error", message
            if message.HasField("result"):
                found.append(message)
    return found


async def test_a_bad_cursor_is_a_status_and_not_a_message(served: Served) -> None:
    stream = served.service.WatchEntitlements(pb.WatchEntitlementsRequest(cursor="garbage"))
    assert await refusal(stream.read()) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
