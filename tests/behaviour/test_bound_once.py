"""Over REST the path decides whom a call is about, and a dry run never runs. `tests/edge` has every path and name."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from tests.fixtures.mesh import PASSWORD, Mesh, World
from tests.transports import RestTransport


def send(mesh: Mesh, verb: str, path: str, body: object = None, headers: Sequence[tuple[str, str]] = ()) -> int:
    """The status of a call by an operator."""
    sent = None if body is None else json.dumps(body).encode()
    operator = ("authorization", f"Bearer {mesh.operator_key}")
    return RestTransport(mesh.edge_target).send(verb, path, [operator, *headers], sent)[0]


def tenant(mesh: Mesh, slug: str) -> tuple[str, str]:
    """The state and the plan of a tenant."""
    key = ("authorization", f"Bearer {mesh.operator_key}")
    read = json.loads(RestTransport(mesh.edge_target).send("GET", f"/api/v1/tenants/{slug}", [key])[2])
    return read["state"], read["planId"]


@pytest.mark.parametrize("name", ["id", "%69d", "i%64", "id=&id"])
async def test_a_query_reaches_no_other_tenant_than_the_path(mesh: Mesh, world: World, name: str) -> None:
    named, victim = await world.tenant("named"), await world.tenant("victim")
    before = [tenant(mesh, each.slug) for each in (named, victim)]
    path, query = f"/api/v1/tenants/{named.slug}", f"?{name}={victim.slug}"
    statuses = [
        send(mesh, "POST", f"{path}:suspend{query}", {"reason": "r"}),
        send(mesh, "GET", f"{path}{query}"),
        send(mesh, "PUT", f"{path}/overrides/users{query}", {"value": {"limit": "1"}, "reason": "r"}),
        send(mesh, "DELETE", f"{path}/overrides/users{query}"),
        send(mesh, "GET", f"{path}/entitlements{query}"),
        send(mesh, "POST", f"{path}/migrate{query}", {"planId": "premium"}),
    ]
    assert statuses == [400] * 6
    assert [tenant(mesh, each.slug) for each in (named, victim)] == before


@pytest.mark.parametrize("wrong", ["validateonly", "validate_Only", "ValidateOnly", "validateOnly "])
async def test_a_misspelt_dry_run_changes_nothing(mesh: Mesh, world: World, wrong: str) -> None:
    made = await world.tenant()
    before = tenant(mesh, made.slug)
    assert send(mesh, "POST", f"/api/v1/tenants/{made.slug}/migrate", {"planId": "premium", wrong: True}) == 400
    assert send(mesh, "POST", "/api/v1/tenants", {"slug": f"{made.slug}-dry", wrong: True}) == 400
    assert tenant(mesh, made.slug) == before
    assert send(mesh, "GET", f"/api/v1/tenants/{made.slug}-dry") == 404


async def test_credentials_are_taken_from_the_body_only(mesh: Mesh, world: World) -> None:
    made = await world.tenant()
    rest = RestTransport(mesh.edge_target)
    query = f"tenant={made.slug}&email=a@b.example&password={PASSWORD.replace(' ', '+')}"
    for method in ("register", "login"):
        status, _, answer = rest.send("POST", f"/api/v1/auth/{method}?{query}", [("content-length", "0")])
        assert (status, json.loads(answer)["message"]) == (400, "email is set in the body. Leave it out of the query.")


async def test_a_refused_caller_is_told_the_scheme(mesh: Mesh) -> None:
    rest = RestTransport(mesh.edge_target)
    for sent, error in (([], ""), ([("authorization", "Bearer tmk_nobody")], ', error="invalid_token"')):
        status, headers, _ = rest.send("GET", "/api/v1/tenants/acme", sent)
        assert (status, headers["www-authenticate"]) == (401, f'Bearer realm="tenantmesh"{error}')


async def test_headers_that_the_services_would_refuse_are_431(mesh: Mesh) -> None:
    for headers in ([("x-note", "a" * 9000)], [(f"x-note-{number}", "a") for number in range(70)]):
        assert send(mesh, "GET", "/api/v1/tenants", headers=headers) == 431
