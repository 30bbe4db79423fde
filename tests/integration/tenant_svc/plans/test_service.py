"""PlanService over gRPC, through the chain: what is answered, what is refused, and to whom."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.protobuf import field_mask_pb2, json_format, struct_pb2
from google.rpc import error_details_pb2, status_pb2

from tenantmesh.chassis import pages
from tenantmesh.chassis.servicers import JoinedServicer
from tenantmesh.interceptors.caller import CallerKind
from tenantmesh.interceptors.testing import TestMesh
from tenantmesh.tenant.v1 import plan_pb2, plan_service_pb2
from tenantmesh.tenant.v1 import plan_service_pb2 as pb
from tenantmesh.tenant.v1.plan_service_pb2_grpc import PlanServiceStub, add_PlanServiceServicer_to_server
from tenantmesh.tenant_svc.features import features
from tenantmesh.tenant_svc.features.features import Features
from tenantmesh.tenant_svc.features.servicer import FeatureServicer
from tenantmesh.tenant_svc.plans.plans import Plans
from tenantmesh.tenant_svc.plans.servicer import PlanServicer
from tests.fixtures.engines import WorkerDatabase
from tests.integration.tenant_svc.catalog import told
from tests.integration.tenant_svc.serving import reason_of, refusal


class Callers:
    """Stubs of one running PlanService, each with a credential of its own."""

    def __init__(self, mesh: TestMesh, target: str) -> None:
        self.mesh = mesh
        self._target = target
        self.operator = self.stub(mesh.key())

    def stub(self, credential: str | None) -> Any:
        channel = self.mesh.client(self._target, token=credential)
        self.mesh.closing(channel.close)
        return PlanServiceStub(channel)


@pytest.fixture(scope="session")
async def callers(plans: Plans, features: Features) -> AsyncIterator[Callers]:
    async with TestMesh() as mesh:
        service = plan_service_pb2.DESCRIPTOR.services_by_name["PlanService"]
        servicer = JoinedServicer(service, FeatureServicer(features), PlanServicer(plans))
        target = await mesh.serve(add_PlanServiceServicer_to_server, servicer, plan_service_pb2.DESCRIPTOR)
        yield Callers(mesh, target)


def unused(prefix: str) -> str:
    return f"{prefix}_{uuid.uuid4().hex[:20]}"


def boolean(**fields: Any) -> plan_pb2.Feature:
    made = plan_pb2.Feature(id=unused("f"), type=plan_pb2.FEATURE_TYPE_BOOLEAN, display_name="A feature")
    made.MergeFrom(plan_pb2.Feature(**fields))
    return made


def plan(*features: tuple[str, plan_pb2.FeatureValue], **fields: Any) -> plan_pb2.Plan:
    made = plan_pb2.Plan(
        id=unused("plan"),
        display_name="A plan",
        features=[plan_pb2.PlanFeature(feature=name, value=value) for name, value in features],
        billing_period=plan_pb2.PERIOD_MONTH,
    )
    made.MergeFrom(plan_pb2.Plan(**fields))
    return made


def limit(amount: int) -> plan_pb2.FeatureValue:
    return plan_pb2.FeatureValue(limit=amount)


ON = plan_pb2.FeatureValue(enabled=True)


async def fields_of(call: Any) -> list[str]:
    """The fields that the refusal names."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    assert (caught.value.code(), reason_of(caught.value)) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
    status = status_pb2.Status.FromString(dict(caught.value.trailing_metadata() or ())["grpc-status-details-bin"])
    listed = error_details_pb2.BadRequest()
    assert status.details[1].Unpack(listed)
    return [violation.field for violation in listed.field_violations]


async def test_a_plan_from_draft_to_archive(callers: Callers) -> None:
    stub = callers.operator
    theme = await stub.CreateFeature(
        pb.CreateFeatureRequest(
            feature=plan_pb2.Feature(id=unused("theme"), type=plan_pb2.FEATURE_TYPE_STATIC, display_name="Theme")
        )
    )
    dark = plan_pb2.FeatureValue(static=json_format.ParseDict({"colours": ["black", 2.5]}, struct_pb2.Value()))
    wanted = plan(
        ("api_requests", plan_pb2.FeatureValue(unlimited=True)),
        ("core", ON),
        (theme.id, dark),
        ("users", limit(5)),
        rates=[plan_pb2.PlanRate(rate_class="api", per_second=0.5, burst=3)],
    )
    made = await stub.CreatePlan(pb.CreatePlanRequest(plan=wanted))
    assert (made.version, made.state) == (1, plan_pb2.PLAN_STATE_DRAFT)
    assert {each.feature: each.value for each in made.features} == {
        each.feature: each.value for each in wanted.features
    }
    assert (made.rates, made.billing_period) == (wanted.rates, wanted.billing_period)
    assert (made.HasField("create_time"), made.HasField("publish_time")) == (True, False)
    assert await stub.GetPlan(pb.GetPlanRequest(id=made.id, version=1)) == made

    published = await stub.PublishPlan(pb.PublishPlanRequest(id=made.id))
    assert (published.state, published.HasField("publish_time")) == (plan_pb2.PLAN_STATE_PUBLISHED, True)
    assert published.etag != made.etag
    assert await stub.GetPlan(pb.GetPlanRequest(id=made.id)) == published

    # What was read can be changed and sent back whole.
    published.features[3].value.limit = 9
    draft = await stub.UpdatePlan(pb.UpdatePlanRequest(id=made.id, plan=published))
    assert (draft.version, draft.state) == (2, plan_pb2.PLAN_STATE_DRAFT)
    difference = await stub.DiffPlanVersions(pb.DiffPlanVersionsRequest(id=made.id))
    assert difference == pb.DiffPlanVersionsResponse(
        features=[pb.FeatureDifference(feature="users", before=limit(5), after=limit(9), direction=pb.DIRECTION_MORE)],
        warnings=difference.warnings,
    )
    listed = await stub.ListPlans(pb.ListPlansRequest(plan_id=made.id, all_versions=True))
    assert [(each.version, each.state) for each in listed.plans] == [
        (1, plan_pb2.PLAN_STATE_PUBLISHED),
        (2, plan_pb2.PLAN_STATE_DRAFT),
    ]
    archived = await stub.ArchivePlan(pb.ArchivePlanRequest(id=made.id, version=2))
    assert (archived.state, archived.HasField("archive_time")) == (plan_pb2.PLAN_STATE_ARCHIVED, True)
    failed = (grpc.StatusCode.FAILED_PRECONDITION, "PLAN_ARCHIVED")
    assert await refusal(stub.PublishPlan(pb.PublishPlanRequest(id=made.id, version=2))) == failed


async def test_a_plan_is_listed_and_unlisted_without_a_new_version(callers: Callers) -> None:
    stub, draft = callers.operator, plan(("users", limit(5)))
    assert not (await stub.CreatePlan(pb.CreatePlanRequest(plan=draft))).listed
    published = await stub.PublishPlan(pb.PublishPlanRequest(id=draft.id))
    for listed in (True, False):
        published.listed = listed
        assert await stub.SetPlanListed(pb.SetPlanListedRequest(id=draft.id, listed=listed)) == published
        assert await stub.GetPlan(pb.GetPlanRequest(id=draft.id)) == published
        (entry,) = (await stub.ListPlans(pb.ListPlansRequest(plan_id=draft.id))).plans
        assert (entry.version, entry.etag, entry.listed) == (published.version, published.etag, listed)
    assert (await stub.CreatePlan(pb.CreatePlanRequest(plan=plan(("users", limit(5)), listed=True)))).listed


async def test_rates_and_static_values_in_a_difference(callers: Callers) -> None:
    answer = await callers.operator.DiffPlanVersions(pb.DiffPlanVersionsRequest(id="basic", to_plan_id="custom"))
    assert [(each.rate_class, each.before.burst, each.HasField("after")) for each in answer.rates] == [
        ("api", 100, False)
    ]
    directions = {each.feature: each.direction for each in answer.features}
    assert directions["users"] == pb.DIRECTION_MORE
    assert all(each.HasField("before") or each.HasField("after") for each in answer.features)


async def test_a_feature_is_opened_to_a_share(callers: Callers, migrated: WorkerDatabase) -> None:
    stub = callers.operator
    made = await stub.CreateFeature(pb.CreateFeatureRequest(feature=boolean()))
    assert not made.HasField("rollout")
    changed = await stub.UpdateFeature(
        pb.UpdateFeatureRequest(
            id=made.id,
            feature=plan_pb2.Feature(rollout=plan_pb2.Rollout(basis_points=2500, plan_ids=["basic"]), etag=made.etag),
        )
    )
    assert (changed.rollout.basis_points, changed.rollout.plan_ids) == (2500, ["basic"])
    assert changed.update_time.ToDatetime() > changed.create_time.ToDatetime()
    stale = pb.UpdateFeatureRequest(id=made.id, feature=plan_pb2.Feature(display_name="x", etag=made.etag))
    assert await refusal(stub.UpdateFeature(stale)) == (grpc.StatusCode.ABORTED, "ETAG_MISMATCH")
    closed = await stub.UpdateFeature(
        pb.UpdateFeatureRequest(id=made.id, update_mask=field_mask_pb2.FieldMask(paths=["rollout"]))
    )
    assert not closed.HasField("rollout")
    assert await stub.GetFeature(pb.GetFeatureRequest(id=made.id)) == closed
    assert len(await told(migrated, made.id)) == 3


async def test_a_feature_can_be_sent_back_whole(callers: Callers) -> None:
    """As a gateway does it that makes the mask from the names in a body."""
    stub = callers.operator
    made = await stub.CreateFeature(pb.CreateFeatureRequest(feature=boolean()))
    everything = [field.name for field in made.DESCRIPTOR.fields]
    made.display_name = "renamed"
    mask = field_mask_pb2.FieldMask(paths=everything)
    changed = await stub.UpdateFeature(pb.UpdateFeatureRequest(id=made.id, feature=made, update_mask=mask))
    assert (changed.display_name, changed.create_time) == ("renamed", made.create_time)
    made.type = plan_pb2.FEATURE_TYPE_GAUGE
    made.etag = changed.etag
    other = pb.UpdateFeatureRequest(id=made.id, feature=made, update_mask=mask)
    assert await refusal(stub.UpdateFeature(other)) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
    unknown = pb.UpdateFeatureRequest(id=made.id, update_mask=field_mask_pb2.FieldMask(paths=["nothing"]))
    assert await refusal(stub.UpdateFeature(unknown)) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")


async def test_pages_lead_to_the_end(callers: Callers) -> None:
    stub = callers.operator
    features: list[str] = []
    feature_page = pb.ListFeaturesResponse(next_page_token="")
    while feature_page.next_page_token or not features:
        request = pb.ListFeaturesRequest(page_size=2, page_token=feature_page.next_page_token)
        feature_page = await stub.ListFeatures(request)
        features += [each.id for each in feature_page.features]
    assert {"core", "biometric_auth", "api_requests", "users", "storage_bytes"} <= set(features)
    plans: list[str] = []
    page = pb.ListPlansResponse(next_page_token="")
    while page.next_page_token or not plans:
        page = await stub.ListPlans(pb.ListPlansRequest(page_size=2, page_token=page.next_page_token))
        plans += [each.id for each in page.plans]
    assert {"basic", "premium", "enterprise", "custom"} <= set(plans)
    assert len(plans) == len(set(plans))


async def test_names_are_taken_once(callers: Callers) -> None:
    stub, taken = callers.operator, grpc.StatusCode.ALREADY_EXISTS
    assert await refusal(stub.CreatePlan(pb.CreatePlanRequest(plan=plan(id="basic")))) == (taken, "PLAN_EXISTS")
    request = pb.CreateFeatureRequest(feature=boolean(id="core"))
    assert await refusal(stub.CreateFeature(request)) == (taken, "FEATURE_EXISTS")


@pytest.mark.parametrize("name", ["no_such_thing", "Not An Id", "a\x00b"])
async def test_what_is_missing_is_not_found(callers: Callers, name: str) -> None:
    stub, missing = callers.operator, grpc.StatusCode.NOT_FOUND
    for call in (
        stub.GetPlan(pb.GetPlanRequest(id=name)),
        stub.UpdatePlan(pb.UpdatePlanRequest(id=name, plan=plan(id=name))),
        stub.PublishPlan(pb.PublishPlanRequest(id=name)),
        stub.SetPlanListed(pb.SetPlanListedRequest(id=name, listed=True)),
        stub.ArchivePlan(pb.ArchivePlanRequest(id=name, version=1)),
        stub.DiffPlanVersions(pb.DiffPlanVersionsRequest(id=name)),
        stub.DiffPlanVersions(pb.DiffPlanVersionsRequest(id="basic", to_plan_id=name)),
    ):
        assert await refusal(call) == (missing, "PLAN_NOT_FOUND")
    for call in (
        stub.GetFeature(pb.GetFeatureRequest(id=name)),
        stub.UpdateFeature(pb.UpdateFeatureRequest(id=name)),
    ):
        assert await refusal(call) == (missing, "FEATURE_NOT_FOUND")


async def test_every_bad_field_is_named(callers: Callers) -> None:
    stub = callers.operator
    unnamed = pb.CreateFeatureRequest(feature=plan_pb2.Feature(unit="x"))
    assert await fields_of(stub.CreateFeature(unnamed)) == [
        "feature.id",
        "feature.type",
        "feature.display_name",
        "feature.unit",
    ]
    bad = plan(("users", ON), ("no_such_feature", ON), ("core", plan_pb2.FeatureValue()), display_name="a\nb")
    assert await fields_of(stub.CreatePlan(pb.CreatePlanRequest(plan=bad))) == [
        "plan.display_name",
        "plan.features[0].value",
        "plan.features[1].feature",
        "plan.features[2].value",
    ]
    very_bad = plan(*((f"none_{number}", ON) for number in range(200)))
    assert len(await fields_of(stub.CreatePlan(pb.CreatePlanRequest(plan=very_bad)))) == 10
    for call, field in (
        (stub.CreatePlan(pb.CreatePlanRequest()), "plan.id"),
        (stub.GetPlan(pb.GetPlanRequest()), "id"),
        (stub.GetFeature(pb.GetFeatureRequest()), "id"),
        (stub.UpdateFeature(pb.UpdateFeatureRequest()), "id"),
        (stub.UpdatePlan(pb.UpdatePlanRequest(plan=plan())), "id"),
        (stub.UpdatePlan(pb.UpdatePlanRequest(id="basic", plan=plan(id="premium"))), "plan.id"),
        (stub.ArchivePlan(pb.ArchivePlanRequest(id="basic")), "version"),
        (stub.SetPlanListed(pb.SetPlanListedRequest(listed=True)), "id"),
        (stub.SetPlanListed(pb.SetPlanListedRequest(id="basic")), "listed"),
        (stub.ListPlans(pb.ListPlansRequest(page_size=-1)), "page_size"),
        (stub.ListPlans(pb.ListPlansRequest(page_token="x")), "page_token"),
        (stub.ListFeatures(pb.ListFeaturesRequest(page_token="x")), "page_token"),
    ):
        assert (await fields_of(call))[0] == field


async def test_who_may_not_is_refused(callers: Callers) -> None:
    mesh, denied = callers.mesh, grpc.StatusCode.PERMISSION_DENIED
    reader = callers.stub(mesh.key(CallerKind.SERVICE, frozenset({"plans.read"})))
    assert (await reader.GetPlan(pb.GetPlanRequest(id="basic"))).id == "basic"
    assert (await reader.ListFeatures(pb.ListFeaturesRequest())).features
    assert await refusal(reader.PublishPlan(pb.PublishPlanRequest(id="basic"))) == (denied, "AUDIENCE_NOT_ALLOWED")
    stranger = callers.stub(mesh.key(CallerKind.SERVICE, frozenset({"tenants.read"})))
    assert await refusal(stranger.GetPlan(pb.GetPlanRequest(id="basic"))) == (denied, "PERMISSION_MISSING")
    clerk = callers.stub(mesh.key(CallerKind.OPERATOR, frozenset({"plans.read"})))
    write = pb.UpdateFeatureRequest(id="core", feature=plan_pb2.Feature(display_name="Mine"))
    assert await refusal(clerk.UpdateFeature(write)) == (denied, "PERMISSION_MISSING")
    unlist = pb.SetPlanListedRequest(id="basic", listed=False)
    assert await refusal(clerk.SetPlanListed(unlist)) == (denied, "PERMISSION_MISSING")
    assert await refusal(reader.SetPlanListed(unlist)) == (denied, "AUDIENCE_NOT_ALLOWED")
    owner = callers.stub(mesh.token(mesh.add_tenant(unused("acme").replace("_", "-")), roles=("owner",)))
    assert await refusal(owner.GetPlan(pb.GetPlanRequest(id="basic"))) == (denied, "AUDIENCE_NOT_ALLOWED")
    nobody = callers.stub(None)
    assert (await refusal(nobody.GetPlan(pb.GetPlanRequest(id="basic"))))[0] is grpc.StatusCode.UNAUTHENTICATED


async def test_a_plan_without_limits_is_warned_about_and_published_all_the_same(callers: Callers) -> None:
    stub, draft = callers.operator, plan(("core", ON), ("api_requests", limit(5)))
    expected = {("users", plan_pb2.PLAN_WARNING_TYPE_NO_LIMIT), ("storage_bytes", plan_pb2.PLAN_WARNING_TYPE_NO_LIMIT)}
    drafted = await stub.CreatePlan(pb.CreatePlanRequest(plan=draft))
    published = await stub.PublishPlan(pb.PublishPlanRequest(id=draft.id))
    read = await stub.GetPlan(pb.GetPlanRequest(id=draft.id))
    different = await stub.DiffPlanVersions(
        pb.DiffPlanVersionsRequest(id="basic", version=1, to_plan_id=draft.id, to_version=1)
    )
    for answer in (drafted, published, read, different):
        warned = {(warning.feature, warning.type) for warning in answer.warnings}
        assert warned >= expected
        assert "api_requests" not in {feature for feature, _ in warned}
    (message,) = (warning.message for warning in published.warnings if warning.feature == "users")
    assert message == (
        "The plan does not name users, so its limit is zero: none can be added. Give it a `limit` or `unlimited`."
    )


async def test_a_second_publication_is_refused_unless_it_names_the_version(callers: Callers) -> None:
    stub, draft = callers.operator, plan(("users", limit(5)))
    await stub.CreatePlan(pb.CreatePlanRequest(plan=draft))
    published = await stub.PublishPlan(pb.PublishPlanRequest(id=draft.id))
    missing = (grpc.StatusCode.FAILED_PRECONDITION, "PLAN_HAS_NO_DRAFT")
    assert await refusal(stub.PublishPlan(pb.PublishPlanRequest(id=draft.id))) == missing
    assert await refusal(stub.DiffPlanVersions(pb.DiffPlanVersionsRequest(id=draft.id))) == missing
    assert await stub.PublishPlan(pb.PublishPlanRequest(id=draft.id, version=1)) == published


async def test_the_default_plan_is_a_setting_and_keeps_a_published_version(
    callers: Callers, plans: Plans, migrated: WorkerDatabase
) -> None:
    stub, draft = callers.operator, plan(("users", limit(5)))
    await stub.CreatePlan(pb.CreatePlanRequest(plan=draft))
    unpublished = (grpc.StatusCode.FAILED_PRECONDITION, "PLAN_NOT_PUBLISHED")
    assert await refusal(stub.SetDefaultPlan(pb.SetDefaultPlanRequest(id=draft.id))) == unpublished
    missing = (grpc.StatusCode.NOT_FOUND, "PLAN_NOT_FOUND")
    assert await refusal(stub.SetDefaultPlan(pb.SetDefaultPlanRequest(id="no_such_plan"))) == missing
    await stub.PublishPlan(pb.PublishPlanRequest(id=draft.id))
    try:
        made = await stub.SetDefaultPlan(pb.SetDefaultPlanRequest(id=draft.id))
        assert await stub.GetDefaultPlan(pb.GetDefaultPlanRequest()) == made
        assert (made.id, made.version) == (draft.id, 1)
        is_default = (grpc.StatusCode.FAILED_PRECONDITION, "PLAN_IS_DEFAULT")
        assert await refusal(stub.ArchivePlan(pb.ArchivePlanRequest(id=draft.id, version=1))) == is_default
        assert (await stub.GetPlan(pb.GetPlanRequest(id=draft.id))).state == plan_pb2.PLAN_STATE_PUBLISHED
        await stub.UpdatePlan(pb.UpdatePlanRequest(id=draft.id, plan=draft))
        await stub.PublishPlan(pb.PublishPlanRequest(id=draft.id))
        await stub.ArchivePlan(pb.ArchivePlanRequest(id=draft.id, version=1))
        assert (await stub.GetDefaultPlan(pb.GetDefaultPlanRequest())).version == 2
    finally:
        await stub.SetDefaultPlan(pb.SetDefaultPlanRequest(id="basic"))
    assert await told(migrated, plan_id=draft.id) == [
        ("", f"{draft.id} version 1"),
        ("basic default", f"{draft.id} default"),
        (f"{draft.id} version 1", f"{draft.id} version 2"),
        (f"{draft.id} default", "basic default"),
    ]
    await stub.ArchivePlan(pb.ArchivePlanRequest(id=draft.id, version=2))


async def test_the_catalog_holds_no_more_features_than_an_answer(
    callers: Callers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "MAX_CATALOG", 5)
    full = (grpc.StatusCode.FAILED_PRECONDITION, "CATALOG_FULL")
    assert await refusal(callers.operator.CreateFeature(pb.CreateFeatureRequest(feature=boolean()))) == full


async def test_a_page_has_fewer_plans_where_more_would_be_too_large(
    callers: Callers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "PAGE_BYTES", 400)
    ids = []
    for _ in range(4):
        drafted = await callers.operator.CreatePlan(pb.CreatePlanRequest(plan=plan(("users", limit(5)))))
        ids.append(drafted.id)
    found, token, sizes = [], "", []
    while True:
        request = pb.ListPlansRequest(all_versions=True, page_size=1000, page_token=token)
        page = await callers.operator.ListPlans(request)
        found += [each.id for each in page.plans]
        sizes.append(page.ByteSize())
        if not (token := page.next_page_token):
            break
    assert set(ids) <= set(found)
    assert found == sorted(found)
    assert len(sizes) > 4
