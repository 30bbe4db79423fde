"""Users learn nothing about the activity of other tenants: two tenants with the same history read the same numbers."""

from __future__ import annotations

import asyncio
import base64
import re
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from google.protobuf.descriptor import MethodDescriptor

from tenantmesh.policy.v1 import policy_pb2
from tests.fixtures.mesh import (
    EMAIL_DOMAINS,
    ENTITLEMENTS,
    LOGIN_HOSTS,
    OPERATIONS,
    PLANS,
    SETUP_LINKS,
    TENANTS,
    Mesh,
    Tenant,
    User,
    World,
)
from tests.transports import UNARY, Answer, Transport, full_name

_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_CHECKSUM = 6
_OWN = {"used", "remaining", "etag"}
"""Fields that the tenant's own calls move, and digests."""


def policy_of(method: MethodDescriptor) -> policy_pb2.MethodPolicy:
    return method.GetOptions().Extensions[policy_pb2.method]


OF_USERS = [method for method in UNARY if policy_pb2.AUDIENCE_USER in policy_of(method).audiences]
"""The methods that a user may call, in the contract's order."""
UNPROVEN = {"MakePrimaryLoginHost"}
"""Methods that need a proof, without which they are refused: the refusals are compared."""


def numbers(answer: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every number in an answer, with its place. Times and ids are none."""
    if isinstance(answer, dict):
        for name, value in answer.items():
            if name not in _OWN:
                yield from numbers(value, f"{path}.{name}")
    elif isinstance(answer, list):
        for index, value in enumerate(answer):
            yield from numbers(value, f"{path}[{index}]")
    elif not isinstance(answer, bool) and _NUMBER.fullmatch(str(answer)):
        yield path, str(answer)


async def lived(world: World, busy: Tenant, *, beside: int) -> User:
    """The owner of a new tenant with some history, while others have `beside` changes between each two of it."""

    async def others() -> None:
        for limit in range(beside):
            await override(world, busy, limit)
            await name(world, busy)

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
    await name(world, tenant)
    await others()
    return await world.owner(tenant)


async def override(world: World, tenant: Tenant, limit: int) -> None:
    request = {"id": tenant.slug, "feature": "api_requests", "override": {"value": {"limit": limit}}}
    await world.operate(f"{ENTITLEMENTS}/SetOverride", request)


async def name(world: World, tenant: Tenant) -> dict[str, str]:
    """Give the tenant one more name of each kind, and a link. Return them by the fields of their paths."""
    here, named = {"id": tenant.id}, unused()
    link = await world.operate(f"{SETUP_LINKS}/CreateSetupLink", {**here, "intent": "SETUP_INTENT_LOGIN_HOST"})
    await world.operate(f"{LOGIN_HOSTS}/CreateLoginHost", {**here, "host": named})
    await world.operate(f"{EMAIL_DOMAINS}/CreateEmailDomain", {**here, "domain": named})
    return {"host": named, "domain": named, "setupLinkId": link["setupLink"]["setupLinkId"]}


def unused() -> str:
    return f"n{uuid.uuid4().hex[:20]}.names.test"


def values() -> dict[str, Any]:
    """A value of every field that a request of a user needs, or that its answer depends on."""
    return {
        "feature": "api_requests",
        "pageSize": 2,
        "intent": "SETUP_INTENT_LOGIN_HOST",
        "branding": {"displayName": "Shown"},
        "tenant": {"displayName": "Named"},
        "updateMask": "displayName",
        "hosts": [unused()],
        "domains": [unused()],
    }


async def call(world: World, transport: Transport, user: User, method: MethodDescriptor) -> Answer:
    """The answer to the user, to a request about its own tenant."""
    fields = set(method.input_type.fields_by_name)
    names = {"host": unused(), "domain": unused()}
    if fields & {"host", "domain", "setup_link_id"} and not method.name.startswith("Create"):
        names = await name(world, user.tenant)
    given = {"id": user.tenant.id, **values(), **names}
    if "operation_id" in fields:
        listed = await transport.call(f"{OPERATIONS}/ListOperations", {"id": user.tenant.id}, token=user.token)
        given["operationId"] = listed.body["operations"][0]["name"].rpartition("/")[2]
    request = {each.json_name: given[each.json_name] for each in method.input_type.fields if each.json_name in given}
    return await transport.call(full_name(method), request, token=user.token)


@pytest.fixture(scope="module")
async def twins(world: World) -> tuple[User, User]:
    """Owners of two tenants with the same history: while nothing happened elsewhere, and while much did."""
    busy = await world.tenant("busy")
    await world.user(busy)
    async with asyncio.timeout(30):  # the first report of a level makes its reporter the owner, in the catalog of all
        while not (await world.operate(f"{PLANS}/GetFeature", {"id": "users"})).get("owner"):
            await asyncio.sleep(0.05)
    return await lived(world, busy, beside=0), await lived(world, busy, beside=3)


@pytest.mark.parametrize("method", OF_USERS, ids=lambda method: method.name)
async def test_users_of_tenants_with_the_same_history_read_the_same_numbers(
    world: World, transport: Transport, twins: tuple[User, User], method: MethodDescriptor
) -> None:
    alone, among_many = [await call(world, transport, user, method) for user in twins]
    for answer in (alone, among_many):
        assert (answer.code == "OK") is (method.name not in UNPROVEN), answer
    told, told_among_many = [dict(numbers([answer.body, *answer.details])) for answer in (alone, among_many)]
    assert told == told_among_many


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
