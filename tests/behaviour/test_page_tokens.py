"""A page token continues the list that it came from: sent with another tenant or filter it is refused."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor

from tests.fixtures.mesh import ENTITLEMENTS, OPERATIONS, TENANTS, Mesh, World
from tests.transports import UNARY, Transport, full_name

SETUP_LINKS = "tenantmesh.tenant.v1.SetupLinkService"

LISTS = [method for method in UNARY if "page_token" in method.input_type.fields_by_name]
FILTERS = {
    "plan_id": "premium",
    "feature": "api_requests",
    "filter": "state = ACTIVE",
    "order_by": "slug desc",
    "type": "MigrateTenantPlan",
}
NO_SELECTION = {"id", "page_size", "page_token", "include_total_size"}
"""Fields of requests that do not change which items a list has, or their order."""
REASON = "must be the next_page_token of the page before"


async def filled_tenant(world: World) -> str:
    """A tenant with two of everything that is listed of one."""
    here = {"id": (await world.tenant()).slug}
    for feature in ("api_requests", "users"):
        await world.operate(
            f"{ENTITLEMENTS}/SetOverride", {**here, "feature": feature, "override": {"value": {"limit": 9}}}
        )
        await world.operate(f"{ENTITLEMENTS}/CreateGrant", {**here, "grant": {"feature": "api_requests", "amount": 5}})
        begun = await world.operate(
            f"{TENANTS}/MigrateTenantPlan", {**here, "planId": "premium", "timing": "MIGRATION_TIMING_NEXT_PERIOD"}
        )
        operation = begun["name"].rpartition("/")[2]
        await world.operate(f"{OPERATIONS}/CancelOperation", {**here, "operationId": operation})
        await world.operate(f"{SETUP_LINKS}/CreateSetupLink", {**here, "intent": "SETUP_INTENT_LOGIN_HOST"})
    names = [f"a{uuid.uuid4().hex[:12]}.net" for _ in range(2)]
    await world.operate("tenantmesh.tenant.v1.LoginHostService/BatchCreateLoginHosts", {**here, "hosts": names})
    await world.operate("tenantmesh.tenant.v1.EmailDomainService/BatchCreateEmailDomains", {**here, "domains": names})
    return here["id"]


def selections(method: MethodDescriptor, tenants: tuple[str, str]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A request that selects a part of the list, and others that each select another part."""
    fields = method.input_type.fields_by_name
    request: dict[str, Any] = {"id": tenants[0]} if "id" in fields else {}
    others = [{**request, "id": tenants[1]}] if "id" in fields else []
    for name, field in fields.items():
        if name not in NO_SELECTION:
            value = True if field.type == FieldDescriptor.TYPE_BOOL else FILTERS[name]
            others.append({**request, field.camelcase_name: value})
    return request, others


@pytest.mark.parametrize("method", LISTS, ids=lambda method: method.name)
async def test_a_token_of_another_part_of_the_list_is_refused(
    transport: Transport, mesh: Mesh, world: World, method: MethodDescriptor
) -> None:
    tenants = (await filled_tenant(world), await filled_tenant(world))
    request, others = selections(method, tenants)
    name, key = full_name(method), mesh.operator_key
    first = await transport.call(name, {**request, "pageSize": 1}, token=key)
    token = first.body["nextPageToken"]
    second = await transport.call(name, {**request, "pageSize": 1, "pageToken": token}, token=key)
    assert second.code == "OK", second
    for other in others:
        refused = await transport.call(name, {**other, "pageToken": token}, token=key)
        assert (refused.code, refused.reason) == ("INVALID_ARGUMENT", "INVALID_FIELD"), other
        assert REASON in refused.message
