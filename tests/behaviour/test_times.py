"""Times at the ends of the calendar: a refusal names the field, and the tenant is read as before."""

from __future__ import annotations

import re
import uuid
from typing import Any

import pytest

from tests.fixtures.mesh import ENTITLEMENTS, QUOTAS, TENANTS, Mesh, Tenant, World
from tests.transports import Answer, RestTransport, Transport

ENDS = (
    "0001-01-01T00:00:00Z",
    *(f"9999-12-31T23:59:59.{fraction}Z" for fraction in ("999999", "9999999", "999999999")),
)
ACCEPTED = "9999-12-31T23:59:59.999Z"


def writes(tenant: Tenant, time: str) -> dict[str, tuple[str, dict[str, Any]]]:
    """The method and the request that set each time that a caller can set, by the field that a refusal names."""
    here, grant = {"id": tenant.slug}, {"feature": "api_requests", "amount": 5}
    grace = {**here, "planId": "premium", "overLimitPolicy": "OVER_LIMIT_POLICY_GRACE", "graceUntil": time}
    override = {"value": {"limit": 5}, "expireTime": time}
    return {
        "grant.expire_time": (f"{ENTITLEMENTS}/CreateGrant", {**here, "grant": {**grant, "expireTime": time}}),
        "grant.effective_time": (f"{ENTITLEMENTS}/CreateGrant", {**here, "grant": {**grant, "effectiveTime": time}}),
        "override.expire_time": (f"{ENTITLEMENTS}/SetOverride", {**here, "feature": "users", "override": override}),
        "grace_until": (f"{TENANTS}/MigrateTenantPlan", {**grace, "validateOnly": True}),
        "period_start": (f"{QUOTAS}/Return", {**here, "meter": "api_requests", "amount": 1, "periodStart": time}),
    }


def spelt(field: str, transport: Transport) -> str:
    """The field as a refusal names it: over REST as JSON has it."""
    if field == "period_start" or not isinstance(transport, RestTransport):
        return field
    return re.sub("_(.)", lambda letter: letter[1].upper(), field)


async def write(transport: Transport, world: World, field: str, method: str, request: dict[str, Any]) -> Answer:
    """Make the call. Units are returned at the service itself: the edge does not route what only services call."""
    if field == "period_start":
        return await world.transport.call(method, request, token=world.mesh.service_key)
    return await transport.call(method, request, token=world.mesh.operator_key)


@pytest.mark.parametrize("time", ENDS)
async def test_the_ends_of_the_calendar_are_refused_by_name(
    transport: Transport, mesh: Mesh, world: World, time: str
) -> None:
    tenant = await world.tenant()
    requests = [(field, *each) for field, each in writes(tenant, time).items()]
    method, request = writes(tenant, time)["grace_until"]
    requests.append(("grace_until", method, {**request, "validateOnly": False, "requestId": str(uuid.uuid4())}))
    for field, method, request in requests:
        answer = await write(transport, world, field, method, request)
        assert (answer.code, answer.reason) == ("INVALID_ARGUMENT", "INVALID_FIELD"), (field, answer)
        assert f"{spelt(field, transport)}: must be after 0001-01-01" in answer.message
    listed = await transport.call(f"{ENTITLEMENTS}/ListGrants", {"id": tenant.slug}, token=mesh.operator_key)
    assert (listed.code, listed.body.get("grants", [])) == ("OK", [])


async def test_a_time_just_before_the_end_is_stored_and_read(transport: Transport, mesh: Mesh, world: World) -> None:
    tenant, other = await world.tenant(), await world.tenant()
    for field, (method, request) in writes(tenant, ACCEPTED).items():
        answer = await write(transport, world, field, method, request)
        expected = "LEASE_NOT_FOUND" if field == "period_start" else ""  # it is read, and nothing was leased then
        assert (answer.code == "OK", answer.reason) == (not expected, expected), (field, answer)
    checks = [{"id": each.slug, "feature": "api_requests"} for each in (tenant, other)]
    for method, request in (
        (f"{ENTITLEMENTS}/GetEntitlements", {"id": tenant.slug}),
        (f"{ENTITLEMENTS}/ExplainEntitlement", {"id": tenant.slug, "feature": "api_requests"}),
        (f"{ENTITLEMENTS}/ListOverrides", {"id": tenant.slug}),
        (f"{ENTITLEMENTS}/BatchCheckEntitlements", {"checks": checks}),
    ):
        assert (await transport.call(method, request, token=mesh.operator_key)).code == "OK", method
    grants = await transport.call(f"{ENTITLEMENTS}/ListGrants", {"id": tenant.slug}, token=mesh.operator_key)
    assert ACCEPTED in {grant.get("expireTime") for grant in grants.body["grants"]}
