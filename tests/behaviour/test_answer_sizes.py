"""A catalog with values as large as they may be: everything can still be read, over every transport."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.fixtures.mesh import ENTITLEMENTS, PLANS, Mesh, Tenant, World
from tests.transports import Answer, Transport

LARGE = [1] * 1365
"""A value of 4,095 characters. As a message it has 15,000 bytes: numbers are large there."""
FEATURES = 34
"""As many large values as a plan, and a tenant's overrides, may have in all."""
VERSIONS = 5


@dataclass(frozen=True)
class Large:
    """A plan whose versions have half a megabyte each, and a tenant on it with as much in overrides."""

    plan: str
    features: tuple[str, ...]
    one_more: str
    tenant: Tenant


@pytest.fixture(scope="module")
async def large(world: World) -> AsyncIterator[Large]:
    prefix = f"l_{uuid.uuid4().hex[:8]}"
    *names, one_more = (f"{prefix}_{number:02}" for number in range(FEATURES + 1))
    for name in (*names, one_more):
        feature = {"id": name, "type": "FEATURE_TYPE_STATIC", "displayName": "A large value"}
        await world.operate(f"{PLANS}/CreateFeature", {"feature": feature})
    values = [{"feature": name, "value": {"static": LARGE}} for name in names]
    limits = [{"feature": name, "value": {"unlimited": True}} for name in ("users", "api_requests")]
    draft: dict[str, Any] = {"id": f"{prefix}_plan", "displayName": "Large", "billingPeriod": "PERIOD_MONTH"}
    draft["features"] = [*limits, *values]
    await world.operate(f"{PLANS}/CreatePlan", {"plan": draft})
    await world.operate(f"{PLANS}/PublishPlan", {"id": draft["id"]})
    for version in range(2, VERSIONS + 1):
        changed = {**draft, "displayName": f"Large, version {version}"}
        await world.operate(f"{PLANS}/UpdatePlan", {"id": draft["id"], "plan": changed})
        await world.operate(f"{PLANS}/PublishPlan", {"id": draft["id"]})
    tenant = await world.tenant("large", plan=draft["id"])
    for name in names:
        request = {"id": tenant.id, "feature": name, "override": {"value": {"static": LARGE}}}
        await world.operate(f"{ENTITLEMENTS}/SetOverride", request)
    yield Large(draft["id"], tuple(names), one_more, tenant)
    for version in range(1, VERSIONS + 1):  # else every later look at entitlements reads it
        await world.operate(f"{PLANS}/ArchivePlan", {"id": draft["id"], "version": version})


async def operate(transport: Transport, mesh: Mesh, method: str, request: dict[str, Any]) -> Answer:
    return await transport.call(method, request, token=mesh.operator_key)


async def test_every_version_of_a_large_plan_is_listed(transport: Transport, mesh: Mesh, large: Large) -> None:
    request: dict[str, Any] = {"planId": large.plan, "allVersions": True}
    versions, pages = [], 0
    while True:
        answer = await operate(transport, mesh, f"{PLANS}/ListPlans", request)
        assert answer.code == "OK", answer.message
        versions += [plan["version"] for plan in answer.body["plans"]]
        pages += 1
        if not (token := answer.body.get("nextPageToken")):
            break
        request["pageToken"] = token
    assert versions == list(range(1, VERSIONS + 1))
    assert pages > 1, "five versions of half a megabyte do not fit into a page"


@pytest.mark.parametrize("view", ["ENTITLEMENT_VIEW_BASIC", "ENTITLEMENT_VIEW_FULL"])
async def test_all_entitlements_of_a_tenant_fit_into_an_answer(
    transport: Transport, mesh: Mesh, large: Large, view: str
) -> None:
    request = {"id": large.tenant.id, "view": view}
    answer = await operate(transport, mesh, f"{ENTITLEMENTS}/GetEntitlements", request)
    assert answer.code == "OK", answer.message
    found = {each["feature"]: each for each in answer.body["entitlements"]}
    assert all(found[name]["value"] == {"static": LARGE} for name in large.features)


async def test_overrides_stop_where_they_would_make_the_tenant_unreadable(
    transport: Transport, mesh: Mesh, world: World, large: Large
) -> None:
    request = {"id": large.tenant.id, "feature": large.one_more, "override": {"value": {"static": LARGE}}}
    refused = await operate(transport, mesh, f"{ENTITLEMENTS}/SetOverride", request)
    assert (refused.code, refused.reason) == ("FAILED_PRECONDITION", "OVERRIDES_TOO_LARGE")
    replaced = {**request, "feature": large.features[0]}
    assert (await operate(transport, mesh, f"{ENTITLEMENTS}/SetOverride", replaced)).code == "OK"
    assert (await world.user(large.tenant)).token, "other services still know the tenant"


async def test_a_batch_whose_answers_do_not_fit_says_how_many_do(
    transport: Transport, mesh: Mesh, large: Large
) -> None:
    checks = [{"id": large.tenant.id, "feature": name} for name in large.features * 3]
    refused = await operate(transport, mesh, f"{ENTITLEMENTS}/BatchCheckEntitlements", {"checks": checks})
    assert (refused.code, refused.reason) == ("FAILED_PRECONDITION", "BATCH_TOO_LARGE")
    assert not [detail for detail in refused.details if "RetryInfo" in detail["@type"]], "waiting does not help"
    (info,) = [detail for detail in refused.details if "ErrorInfo" in detail["@type"]]
    fits = int(info["metadata"]["fits"])
    assert 0 < fits < len(checks)
    served = await operate(transport, mesh, f"{ENTITLEMENTS}/BatchCheckEntitlements", {"checks": checks[:fits]})
    assert (served.code, len(served.body["results"])) == ("OK", fits)


async def test_a_request_beyond_the_limit_is_refused_with_its_size(
    transport: Transport, mesh: Mesh, large: Large
) -> None:
    """Of 200 kB of JSON: as a message it is larger than a megabyte."""
    value = {"static": [1] * 100_000}
    request = {"id": large.tenant.id, "feature": large.one_more, "override": {"value": value}}
    refused = await operate(transport, mesh, f"{ENTITLEMENTS}/SetOverride", request)
    assert (refused.code, refused.reason) == ("INVALID_ARGUMENT", "REQUEST_TOO_LARGE")
    (info,) = [detail for detail in refused.details if "ErrorInfo" in detail["@type"]]
    assert info["metadata"]["limit"] == str(1024 * 1024) < info["metadata"]["bytes"]


async def test_large_overrides_are_listed_in_pages(transport: Transport, mesh: Mesh, large: Large) -> None:
    first = await operate(transport, mesh, f"{ENTITLEMENTS}/ListOverrides", {"id": large.tenant.id, "pageSize": 20})
    second = await operate(
        transport,
        mesh,
        f"{ENTITLEMENTS}/ListOverrides",
        {"id": large.tenant.id, "pageToken": first.body["nextPageToken"]},
    )
    named = [override["feature"] for page in (first, second) for override in page.body["overrides"]]
    assert (named, second.body["nextPageToken"]) == (sorted(large.features), "")
