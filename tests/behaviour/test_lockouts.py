"""Plans and suspensions that could lock everybody out: they are warned about, refused or explained, over every
transport."""

from __future__ import annotations

import uuid
from typing import Any

from tests.fixtures.mesh import PLANS, TENANTS, Mesh, World
from tests.transports import Answer, Transport


async def test_a_plan_that_forgets_its_users_is_warned_about(transport: Transport, mesh: Mesh) -> None:
    async def operate(method: str, request: dict[str, Any]) -> Answer:
        return await transport.call(f"{PLANS}/{method}", request, token=mesh.operator_key)

    name = f"plan_{uuid.uuid4().hex[:12]}"
    draft = {
        "id": name,
        "displayName": "Books",
        "billingPeriod": "PERIOD_MONTH",
        "features": [{"feature": "core", "value": {"enabled": True}}],
    }
    await operate("CreatePlan", {"plan": draft})
    published = await operate("PublishPlan", {"id": name})
    compared = await operate("DiffPlanVersions", {"id": "basic", "version": 1, "toPlanId": name, "toVersion": 1})
    for answer in (published, compared):
        assert answer.code == "OK", answer
        assert {"users", "api_requests"} <= {warning["feature"] for warning in answer.body["warnings"]}
    for refused in (await operate("PublishPlan", {"id": name}), await operate("DiffPlanVersions", {"id": name})):
        assert (refused.code, refused.reason) == ("FAILED_PRECONDITION", "PLAN_HAS_NO_DRAFT")


async def test_the_plan_of_new_tenants_can_not_be_archived(transport: Transport, mesh: Mesh) -> None:
    for method, request in (("SetDefaultPlan", {"id": "basic"}), ("GetDefaultPlan", {})):
        answer = await transport.call(f"{PLANS}/{method}", request, token=mesh.operator_key)
        assert (answer.code, answer.body["id"]) == ("OK", "basic")
    archiving = {"id": "basic", "version": 1}
    refused = await transport.call(f"{PLANS}/ArchivePlan", archiving, token=mesh.operator_key)
    assert (refused.code, refused.reason) == ("FAILED_PRECONDITION", "PLAN_IS_DEFAULT")


async def test_an_operator_reads_why_a_tenant_is_suspended(transport: Transport, mesh: Mesh, world: World) -> None:
    acme, globex = await world.tenant("acme"), await world.tenant("globex")
    suspending = {"id": acme.id, "reason": "unpaid since March"}
    suspended = await transport.call(f"{TENANTS}/SuspendTenant", suspending, token=mesh.operator_key)
    read, other = [
        await transport.call(f"{TENANTS}/GetTenant", {"id": tenant.id}, token=mesh.operator_key)
        for tenant in (acme, globex)
    ]
    assert read.body["suspension"] == suspended.body["suspension"]
    assert read.body["suspension"]["reason"] == "unpaid since March"
    assert read.body["suspension"]["actor"]
    assert "suspension" not in other.body
