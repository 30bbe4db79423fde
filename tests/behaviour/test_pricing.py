"""An operator prices plans, and what tenants then have: the story of plans and entitlements, over every transport."""

from __future__ import annotations

import asyncio
import json
import uuid
from typing import Any

from tests.fixtures.mesh import ENTITLEMENTS, OPERATIONS, PLANS, TENANTS, Mesh, Tenant, World
from tests.transports import Answer, Transport


async def entitlement(transport: Transport, tenant: Tenant, feature: str, token: str) -> dict[str, Any]:
    answer = await transport.call(f"{ENTITLEMENTS}/GetEntitlements", {"id": tenant.id}, token=token)
    assert answer.code == "OK", answer
    return next(each for each in answer.body["entitlements"] if each["feature"] == feature)


async def operate(transport: Transport, mesh: Mesh, method: str, request: dict[str, Any]) -> Answer:
    return await transport.call(method, request, token=mesh.operator_key)


async def test_a_plan_is_drafted_published_and_pinned(transport: Transport, mesh: Mesh, world: World) -> None:
    feature = f"export_{uuid.uuid4().hex[:8]}"
    made = await operate(
        transport,
        mesh,
        f"{PLANS}/CreateFeature",
        {"feature": {"id": feature, "type": "FEATURE_TYPE_BOOLEAN", "displayName": "Export"}},
    )
    assert made.code == "OK", made
    plan = f"plan_{uuid.uuid4().hex[:8]}"
    draft = {
        "id": plan,
        "displayName": "Plus",
        "billingPeriod": "PERIOD_MONTH",
        "features": [{"feature": "users", "value": {"limit": "5"}}],
    }
    drafted = await operate(transport, mesh, f"{PLANS}/CreatePlan", {"plan": draft})
    assert (drafted.code, drafted.body["version"], drafted.body["state"]) == ("OK", 1, "PLAN_STATE_DRAFT")
    unpublished = await operate(transport, mesh, f"{TENANTS}/CreateTenant", {"slug": "nobody-here", "planId": plan})
    assert (unpublished.code, unpublished.reason) == ("NOT_FOUND", "PLAN_NOT_FOUND")
    published = await operate(transport, mesh, f"{PLANS}/PublishPlan", {"id": plan})
    assert published.body["state"] == "PLAN_STATE_PUBLISHED"
    acme = await world.tenant("acme", plan=plan)

    draft["features"] = [
        {"feature": "users", "value": {"limit": "9"}},
        {"feature": feature, "value": {"enabled": True}},
    ]
    second = await operate(transport, mesh, f"{PLANS}/UpdatePlan", {"id": plan, "plan": draft})
    assert (second.body["version"], second.body["state"]) == (2, "PLAN_STATE_DRAFT")
    difference = await operate(transport, mesh, f"{PLANS}/DiffPlanVersions", {"id": plan, "version": 1, "toVersion": 2})
    assert {each["feature"]: each["direction"] for each in difference.body["features"]} == {
        "users": "DIRECTION_MORE",
        feature: "DIRECTION_MORE",
    }
    await operate(transport, mesh, f"{PLANS}/PublishPlan", {"id": plan})
    token = (await world.user(acme)).token
    assert (await entitlement(transport, acme, "users", token))["value"]["limit"] == "5", "it pins version 1"
    off = await entitlement(transport, acme, feature, token)
    assert not off.get("value", {}).get("enabled")
    assert plan in off["availableIn"], "version 2 has it"


async def test_a_plan_made_for_one_customer_is_named_to_nobody_else(
    transport: Transport, mesh: Mesh, world: World
) -> None:
    feature, private = f"export_{uuid.uuid4().hex[:8]}", f"acme_{uuid.uuid4().hex[:8]}"
    made = {"id": feature, "type": "FEATURE_TYPE_BOOLEAN", "displayName": "Export"}
    await world.operate(f"{PLANS}/CreateFeature", {"feature": made})
    users = {"feature": "users", "value": {"limit": "5"}}
    draft = {"id": private, "displayName": "For Acme", "billingPeriod": "PERIOD_MONTH", "features": [users]}
    drafted = await operate(transport, mesh, f"{PLANS}/CreatePlan", {"plan": draft})
    assert drafted.body["listed"] is False
    await world.operate(f"{PLANS}/PublishPlan", {"id": private})
    acme, globex = await world.tenant("acme", plan=private), await world.tenant("globex")
    draft["features"] = [users, {"feature": feature, "value": {"enabled": True}}]
    await world.operate(f"{PLANS}/UpdatePlan", {"id": private, "plan": draft})
    await world.operate(f"{PLANS}/PublishPlan", {"id": private})
    rollout = {"basisPoints": 0, "planIds": [private]}
    request = {"id": feature, "feature": {"rollout": rollout}, "updateMask": "rollout"}
    await world.operate(f"{PLANS}/UpdateFeature", request)

    async def told(tenant: Tenant, token: str) -> set[str]:
        """Where the plan is named to who has the token."""
        asked = {
            "CheckEntitlement": {"id": tenant.id, "feature": feature},
            "ExplainEntitlement": {"id": tenant.id, "feature": feature},
            "GetEntitlements": {"id": tenant.id},
            "ListEntitlementChanges": {"id": tenant.id},
        }
        answers = {
            method: await transport.call(f"{ENTITLEMENTS}/{method}", request, token=token)
            for method, request in asked.items()
        }
        assert {answer.code for answer in answers.values()} == {"OK"}, answers
        return {method for method, answer in answers.items() if private in json.dumps(answer.body)}

    ada, grace = (await world.user(acme)).token, (await world.user(globex)).token
    everywhere = {"CheckEntitlement", "ExplainEntitlement", "GetEntitlements", "ListEntitlementChanges"}
    assert await told(acme, ada) == everywhere
    assert await told(globex, grace) == set()
    assert await told(globex, mesh.operator_key) >= {"ExplainEntitlement", "ListEntitlementChanges"}
    listing = {"id": private, "listed": True}
    listed = await operate(transport, mesh, f"{PLANS}/SetPlanListed", listing)
    assert (listed.code, listed.body["listed"], listed.body["version"]) == ("OK", True, 2)
    assert await told(globex, grace) == everywhere
    unlisted = await operate(transport, mesh, f"{PLANS}/SetPlanListed", {**listing, "listed": False})
    assert unlisted.body["listed"] is False
    assert await told(globex, grace) == set()


async def test_an_override_replaces_the_plan_and_is_remembered(transport: Transport, mesh: Mesh, world: World) -> None:
    acme, globex = await world.tenant("acme"), await world.tenant("globex")
    ada, grace = await world.user(acme), await world.user(globex)
    override = {"value": {"limit": "7"}, "reason": "a favour"}
    request = {"id": acme.id, "feature": "users", "override": override}
    assert (await operate(transport, mesh, f"{ENTITLEMENTS}/SetOverride", request)).code == "OK"
    users = await entitlement(transport, acme, "users", ada.token)
    assert (users["value"]["limit"], users["planValue"]["limit"], users["overrideValue"]["limit"]) == ("7", "100", "7")
    assert users["source"] == "ENTITLEMENT_SOURCE_OVERRIDE"
    assert (await entitlement(transport, globex, "users", grace.token))["value"]["limit"] == "100", "acme's alone"
    cleared = {"id": acme.id, "feature": "users", "reason": "enough"}
    assert (await operate(transport, mesh, f"{ENTITLEMENTS}/ClearOverride", cleared)).code == "OK"
    assert (await entitlement(transport, acme, "users", ada.token))["value"]["limit"] == "100"
    history = await operate(transport, mesh, f"{ENTITLEMENTS}/ListEntitlementChanges", {"id": acme.id})
    assert [(each["type"], each["reason"]) for each in history.body["changes"]][:2] == [
        ("ENTITLEMENT_CHANGE_TYPE_OVERRIDE_CLEARED", "enough"),
        ("ENTITLEMENT_CHANGE_TYPE_OVERRIDE_SET", "a favour"),
    ]
    told = await transport.call(
        f"{ENTITLEMENTS}/ExplainEntitlement", {"id": acme.id, "feature": "users"}, token=ada.token
    )
    assert told.body["decision"]["allowed"] is True
    assert any("basic" in step for step in told.body["steps"])


async def test_wrong_values_are_named_and_nothing_is_written(transport: Transport, mesh: Mesh, world: World) -> None:
    acme = await world.tenant("acme")
    for feature, value, code, reason in (
        ("users", {"enabled": True}, "INVALID_ARGUMENT", "INVALID_FIELD"),
        ("users", {"limit": "-1"}, "INVALID_ARGUMENT", "INVALID_FIELD"),
        ("core", {"limit": "3"}, "INVALID_ARGUMENT", "INVALID_FIELD"),
        ("no_such_feature", {"limit": "3"}, "NOT_FOUND", "FEATURE_NOT_FOUND"),
    ):
        request = {"id": acme.id, "feature": feature, "override": {"value": value, "reason": "x"}}
        answer = await operate(transport, mesh, f"{ENTITLEMENTS}/SetOverride", request)
        assert (answer.code, answer.reason) == (code, reason), (feature, value, answer)
    overrides = await operate(transport, mesh, f"{ENTITLEMENTS}/ListOverrides", {"id": acme.id})
    assert overrides.body["overrides"] == []


async def test_a_batch_answers_each_check_by_itself(transport: Transport, mesh: Mesh, world: World) -> None:
    basic, premium = await world.tenant("acme"), await world.tenant("globex", plan="premium")
    checks = [
        {"id": basic.id, "feature": "biometric_auth"},
        {"id": premium.slug, "feature": "biometric_auth"},
        {"id": str(uuid.uuid4()), "feature": "core"},
        {"id": basic.id, "feature": "nothing_such"},
        {"id": basic.id, "feature": "api_requests", "amount": "1001"},
    ]
    answer = await operate(transport, mesh, f"{ENTITLEMENTS}/BatchCheckEntitlements", {"checks": checks})
    results = answer.body["results"]
    assert [each.get("decision", {}).get("allowed") for each in results] == [False, True, None, None, False]
    assert results[0]["decision"]["reason"] == "FEATURE_NOT_IN_PLAN"
    assert [results[index]["error"]["code"] for index in (2, 3)] == [5, 5]
    assert results[4]["decision"]["reason"] == "QUOTA_EXHAUSTED"
    too_many = {"checks": [{"id": basic.id, "feature": "core"}] * 1001}
    refused = await operate(transport, mesh, f"{ENTITLEMENTS}/BatchCheckEntitlements", too_many)
    assert (refused.code, refused.reason) == ("INVALID_ARGUMENT", "INVALID_FIELD")


async def test_a_flag_opens_a_feature_to_a_share_of_tenants(transport: Transport, mesh: Mesh, world: World) -> None:
    feature = f"flag_{uuid.uuid4().hex[:8]}"
    await operate(
        transport,
        mesh,
        f"{PLANS}/CreateFeature",
        {"feature": {"id": feature, "type": "FEATURE_TYPE_BOOLEAN", "displayName": "A flag"}},
    )
    acme = await world.tenant("acme")
    ada = await world.user(acme)
    for share, on in ((10_000, True), (0, False)):
        request = {
            "id": feature,
            "feature": {"rollout": {"basisPoints": share}},
            "updateMask": "rollout",
        }
        assert (await operate(transport, mesh, f"{PLANS}/UpdateFeature", request)).code == "OK"
        found = await entitlement(transport, acme, feature, ada.token)
        assert bool(found.get("value", {}).get("enabled")) is on
        assert (found["source"] == "ENTITLEMENT_SOURCE_ROLLOUT") is on


async def wait(transport: Transport, mesh: Mesh, operation: dict[str, Any]) -> dict[str, Any]:
    """The operation when it has ended."""
    _, tenant, _, operation_id = operation["name"].split("/")
    request = {"id": tenant, "operationId": operation_id, "timeout": "20s"}
    answer = await operate(transport, mesh, f"{OPERATIONS}/WaitOperation", request)
    assert answer.body["done"], answer
    return answer.body


async def test_a_tenant_moves_to_another_plan(transport: Transport, mesh: Mesh, world: World) -> None:
    acme = await world.tenant("acme")
    ada = await world.user(acme)
    request = {"id": acme.id, "planId": "premium", "requestId": str(uuid.uuid4())}
    tried = await operate(transport, mesh, f"{TENANTS}/MigrateTenantPlan", {**request, "validateOnly": True})
    assert (tried.body["done"], tried.body["metadata"]["state"]) == (True, "OPERATION_STATE_VALIDATED")
    assert (await entitlement(transport, acme, "users", ada.token))["value"]["limit"] == "100"
    started = await operate(transport, mesh, f"{TENANTS}/MigrateTenantPlan", request)
    assert started.code == "OK", started
    ended = await wait(transport, mesh, started.body)
    assert ended["metadata"]["state"] == "OPERATION_STATE_SUCCEEDED"
    assert ended["response"]["planId"] == "premium"
    again = await operate(transport, mesh, f"{TENANTS}/MigrateTenantPlan", request)
    assert again.body["name"] == ended["name"], "the same request is the same operation"
    assert (await entitlement(transport, acme, "users", ada.token))["value"]["limit"] == "1000"
    history = await operate(transport, mesh, f"{ENTITLEMENTS}/ListEntitlementChanges", {"id": acme.id})
    assert [each["type"] for each in history.body["changes"]].count("ENTITLEMENT_CHANGE_TYPE_PLAN_CHANGED") == 2
    listed = await operate(transport, mesh, f"{OPERATIONS}/ListOperations", {"id": acme.id})
    assert [each["name"] for each in listed.body["operations"]] == [ended["name"]]


async def test_a_smaller_plan_is_refused_or_makes_read_only(transport: Transport, mesh: Mesh, world: World) -> None:
    small = await world.plan(users=1, api_requests=1000)
    acme = await world.tenant("acme")
    await asyncio.gather(world.user(acme), world.user(acme))
    request = {"id": acme.id, "planId": small}
    async with asyncio.timeout(20):
        while True:  # the level of users is reported by auth_svc in its own time
            refused = await operate(transport, mesh, f"{TENANTS}/MigrateTenantPlan", {**request, "validateOnly": True})
            if refused.body["metadata"].get("overLimits"):
                break
    assert refused.body["metadata"]["overLimits"] == [{"feature": "users", "used": "2", "limit": "1"}]
    started = await operate(transport, mesh, f"{TENANTS}/MigrateTenantPlan", request)
    ended = await wait(transport, mesh, started.body)
    assert ended["metadata"]["state"] == "OPERATION_STATE_FAILED"
    assert ended["error"]["details"][0]["reason"] == "OVER_LIMIT"
    started = await operate(
        transport,
        mesh,
        f"{TENANTS}/MigrateTenantPlan",
        {**request, "overLimitPolicy": "OVER_LIMIT_POLICY_READ_ONLY"},
    )
    assert (await wait(transport, mesh, started.body))["metadata"]["state"] == "OPERATION_STATE_SUCCEEDED"
    found = await operate(transport, mesh, f"{ENTITLEMENTS}/GetEntitlements", {"id": acme.id})
    assert (found.body["readOnly"], found.body["overLimit"]) == (True, ["users"])
