"""A repeated request is answered with what it has made, whichever key of its caller it comes with."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

import pytest

from tenantmesh.auth_svc.api_keys.bootstrap import create_key
from tenantmesh.deploy.stack import keys
from tests.fixtures.mesh import ENTITLEMENTS, QUOTAS, TENANTS, Mesh, World
from tests.transports import Transport


@dataclass(frozen=True)
class Holders:
    """Two keys of one holder, as after a rotation or of two replicas, and a key of another holder."""

    first: str
    second: str
    other: str


@pytest.fixture(scope="module")
async def holders(mesh: Mesh) -> Holders:
    settings, names = keys.settings(mesh.stack.engines.postgres), ("ci", "ci", "another")
    return Holders(*[await create_key(settings, name, "OPERATOR", ["*"]) for name in names])


def made_by(body: dict[str, Any]) -> str:
    """The identity of a made object."""
    return str(body.get("id") or body["name"])


async def requests(world: World) -> dict[str, dict[str, Any]]:
    """A request of each method that a request id makes repeatable, with a tenant of its own."""
    tenants = [(await world.tenant()).slug for _ in range(3)]
    grant = {"feature": "api_requests", "amount": 5}
    wanted: dict[str, dict[str, Any]] = {
        f"{TENANTS}/CreateTenant": {"slug": f"t-{uuid.uuid4().hex[:12]}"},
        f"{ENTITLEMENTS}/CreateGrant": {"id": tenants[0], "grant": grant},
        f"{QUOTAS}/Allocate": {"id": tenants[1], "amounts": [{"meter": "api_requests", "amount": 1}]},
        f"{TENANTS}/MigrateTenantPlan": {"id": tenants[2], "planId": "premium"},
    }
    return {method: {**request, "requestId": str(uuid.uuid4())} for method, request in wanted.items()}


async def test_a_request_is_repeated_with_another_key_of_its_caller(
    transport: Transport, world: World, holders: Holders
) -> None:
    for method, request in (await requests(world)).items():
        answers = [
            await transport.call(method, request, token=key) for key in (holders.first, holders.second, holders.first)
        ]
        assert [answer.code for answer in answers] == ["OK"] * 3, (method, answers)
        assert len({made_by(answer.body) for answer in answers}) == 1, method


async def test_other_fields_are_refused_with_another_key_too(
    transport: Transport, world: World, holders: Holders
) -> None:
    request = (await requests(world))[f"{ENTITLEMENTS}/CreateGrant"]
    await transport.call(f"{ENTITLEMENTS}/CreateGrant", request, token=holders.first)
    more = {**request, "grant": {"feature": "api_requests", "amount": 6}}
    answer = await transport.call(f"{ENTITLEMENTS}/CreateGrant", more, token=holders.second)
    assert (answer.code, answer.reason) == ("ALREADY_EXISTS", "REQUEST_ID_REUSED")


async def test_the_same_id_of_another_caller_is_another_request(
    transport: Transport, world: World, holders: Holders
) -> None:
    request = (await requests(world))[f"{ENTITLEMENTS}/CreateGrant"]
    mine, theirs = [
        await transport.call(f"{ENTITLEMENTS}/CreateGrant", request, token=key)
        for key in (holders.first, holders.other)
    ]
    assert made_by(mine.body) != made_by(theirs.body)
