"""Users learn nothing about the activity of other tenants: two tenants with the same history read the same numbers."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Iterator
from typing import Any

import pytest
from google.protobuf.descriptor import MethodDescriptor

from tenantmesh.interceptors.roles import DEFAULT_ROLES
from tenantmesh.policy.v1 import policy_pb2
from tests.fixtures.mesh import ENTITLEMENTS, OPERATIONS, PLANS, TENANTS, Mesh, Tenant, User, World
from tests.transports import UNARY, Transport, full_name

_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_CHECKSUM = 6
_USAGE = {"used", "remaining"}


def readable_by_users() -> list[MethodDescriptor]:
    """The methods by which a member of a tenant reads something, in the contract's order."""
    options = ((method, method.GetOptions().Extensions[policy_pb2.method]) for method in UNARY)
    held = {"", *DEFAULT_ROLES["member"]}
    return [
        method
        for method, policy in options
        if policy_pb2.AUDIENCE_USER in policy.audiences and policy.permission in held
    ]


def numbers(answer: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every number in an answer, with its place, except those that the tenant's own calls move; times, ids and digests
    are none."""
    if isinstance(answer, dict):
        for name, value in answer.items():
            if name not in _USAGE:
                yield from numbers(value, f"{path}.{name}")
    elif isinstance(answer, list):
        for index, value in enumerate(answer):
            yield from numbers(value, f"{path}[{index}]")
    elif not isinstance(answer, bool) and _NUMBER.fullmatch(str(answer)):
        yield path, str(answer)


async def lived(world: World, busy: Tenant, *, beside: int) -> User:
    """A user of a new tenant with some history, while others have `beside` changes between each two of it."""

    async def others() -> None:
        for limit in range(beside):
            await override(world, busy, limit)

    tenant = await world.tenant()
    await others()
    await override(world, tenant, 100_000)
    await others()
    await world.operate(
        f"{ENTITLEMENTS}/CreateGrant", {"id": tenant.slug, "grant": {"feature": "api_requests", "amount": 5}}
    )
    await others()
    begun = await world.operate(
        f"{TENANTS}/MigrateTenantPlan",
        {"id": tenant.slug, "planId": "premium", "timing": "MIGRATION_TIMING_NEXT_PERIOD"},
    )
    operation = begun["name"].rpartition("/")[2]
    await world.operate(f"{OPERATIONS}/CancelOperation", {"id": tenant.slug, "operationId": operation})
    await others()
    return await world.user(tenant)


async def override(world: World, tenant: Tenant, limit: int) -> None:
    request = {"id": tenant.slug, "feature": "api_requests", "override": {"value": {"limit": limit}}}
    await world.operate(f"{ENTITLEMENTS}/SetOverride", request)


async def read(transport: Transport, user: User, method: MethodDescriptor) -> dict[str, Any]:
    """The answer to the user, to a request about its own tenant."""
    request: dict[str, Any] = {"id": user.tenant.id} if "id" in method.input_type.fields_by_name else {}
    if "feature" in method.input_type.fields_by_name:
        request["feature"] = "api_requests"
    if "operation_id" in method.input_type.fields_by_name:
        listed = await transport.call(f"{OPERATIONS}/ListOperations", {"id": user.tenant.id}, token=user.token)
        request["operationId"] = listed.body["operations"][0]["name"].rpartition("/")[2]
    if "page_size" in method.input_type.fields_by_name:
        request["pageSize"] = 2
    answer = await transport.call(full_name(method), request, token=user.token)
    assert answer.code == "OK", answer
    return answer.body


@pytest.fixture(scope="module")
async def twins(world: World) -> tuple[User, User]:
    """Users of two tenants with the same history: while nothing happened elsewhere, and while much did."""
    busy = await world.tenant("busy")
    await world.user(busy)
    async with asyncio.timeout(30):  # the first report of a level makes its reporter the owner, in the catalog of all
        while not (await world.operate(f"{PLANS}/GetFeature", {"id": "users"})).get("owner"):
            await asyncio.sleep(0.05)
    return await lived(world, busy, beside=0), await lived(world, busy, beside=3)


@pytest.mark.parametrize("method", readable_by_users(), ids=lambda method: method.name)
async def test_users_of_tenants_with_the_same_history_read_the_same_numbers(
    transport: Transport, twins: tuple[User, User], method: MethodDescriptor
) -> None:
    alone, among_many = [await read(transport, user, method) for user in twins]
    assert dict(numbers(alone)) == dict(numbers(among_many))


async def test_a_page_of_the_history_hides_where_it_ends_in_the_log_of_all(
    transport: Transport, twins: tuple[User, User]
) -> None:
    places = []
    for user in twins:
        request = {"id": user.tenant.id, "pageSize": 2}
        answer = await transport.call(f"{ENTITLEMENTS}/ListEntitlementChanges", request, token=user.token)
        token = answer.body["nextPageToken"]
        places.append(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))[_CHECKSUM:])
    assert places[0] == places[1]


async def test_revisions_order_a_tenants_history_and_end_with_that_of_its_entitlements(
    transport: Transport, mesh: Mesh, twins: tuple[User, User]
) -> None:
    user = twins[1]
    here = {"id": user.tenant.id}
    for token, sees_positions in ((user.token, False), (mesh.operator_key, True)):
        history = await transport.call(f"{ENTITLEMENTS}/ListEntitlementChanges", here, token=token)
        found = await transport.call(f"{ENTITLEMENTS}/GetEntitlements", here, token=token)
        revisions = [int(change["revision"]) for change in history.body["changes"]]
        assert revisions == sorted(set(revisions), reverse=True)
        assert revisions[0] == int(found.body["revision"])
        assert all(bool(int(change.get("position", 0))) == sees_positions for change in history.body["changes"])
