"""How tenants look, changed by operators and shown to anybody: over gRPC, over gRPC at the edge, and over REST."""

from __future__ import annotations

import asyncio
import json
import uuid
from functools import partial
from typing import Any

import grpc
import pytest

from tests.behaviour.test_login_hosts import of_operator, until, unused
from tests.dns_server import NameServer
from tests.fixtures.mesh import BRANDING, TENANTS, Mesh, Tenant, World
from tests.transports import Answer, GrpcTransport, RestTransport, Transport

COLORS = {"primary": "#7c3aed", "background": "#ffffff", "text": "#1f2937", "onPrimary": ""}
VARYING = {"x-request-id", "traceparent", "date"}


async def change(
    transport: Transport, mesh: Mesh, tenant: Tenant, branding: dict[str, Any], mask: str = "", token: str | None = None
) -> Answer:
    request: dict[str, Any] = {"id": tenant.id, "branding": branding}
    if mask:
        request["updateMask"] = mask
    return await transport.call(f"{BRANDING}/UpdateTenantBranding", request, token=token or mesh.operator_key)


async def shown(transport: Transport, **named: str) -> dict[str, Any]:
    answer = await transport.call(f"{BRANDING}/GetBranding", named)
    assert answer.code == "OK", answer
    return answer.body


async def test_a_branding_is_set_changed_in_part_and_shown(transport: Transport, mesh: Mesh, world: World) -> None:
    acme, globex = await world.tenant(), await world.tenant()
    default = await shown(transport, slug=globex.slug)
    stored = await change(transport, mesh, acme, {"displayName": "Acme", "colors": COLORS})
    assert stored.code == "OK", stored
    changed = await change(transport, mesh, acme, {"logoUri": "https://a.example/l.svg"}, "logoUri")
    assert (changed.body["displayName"], changed.body["logoUri"]) == ("Acme", "https://a.example/l.svg")
    asked = {"id": acme.slug}
    assert (await transport.call(f"{BRANDING}/GetTenantBranding", asked, token=mesh.operator_key)).body == changed.body
    async with asyncio.timeout(10):
        while (seen := await shown(transport, slug=acme.slug)) == default:
            await asyncio.sleep(0.1)
    assert (seen["displayName"], seen["colors"]["onPrimary"]) == ("Acme", "#ffffff")
    assert await shown(transport, slug=globex.slug) == default == await shown(transport, slug="never-made")


async def test_a_resource_is_sent_back_as_it_was_read(transport: Transport, mesh: Mesh, world: World) -> None:
    acme = await world.tenant()
    stored = await change(transport, mesh, acme, {"displayName": "Acme", "colors": COLORS})
    again = await change(transport, mesh, acme, stored.body)
    assert (again.code, again.body) == ("OK", stored.body)
    renamed = await change(transport, mesh, acme, {**stored.body, "displayName": "Acme Inc"})
    assert renamed.body["displayName"] == "Acme Inc"
    stale = await change(transport, mesh, acme, {**stored.body, "displayName": "Too late"})
    assert (stale.code, stale.reason) == ("ABORTED", "ETAG_MISMATCH")


@pytest.mark.parametrize(
    ("branding", "mask", "field"),
    [
        ({"colors": {**COLORS, "text": "#cccccc"}}, "", "branding.colors.text"),
        ({"displayName": "Acme\u202e"}, "", "branding.display_name"),
        ({"displayName": "x" * 10_000}, "", "branding.display_name"),
        ({"logoUri": "javascript:alert(1)"}, "", "branding.logo_uri"),
        ({"iconUri": "https://["}, "", "branding.icon_uri"),
        ({"supportEmail": "nobody"}, "", "branding.support_email"),
        ({"colors": {"primary": "#ffffff"}}, "colors.primary", "branding.colors.background"),
        ({"displayName": "Acme"}, "tenantId", "update_mask"),
    ],
)
async def test_bad_input_is_named_by_its_field(
    transport: Transport, mesh: Mesh, world: World, branding: dict[str, Any], mask: str, field: str
) -> None:
    answer = await change(transport, mesh, await world.tenant(), branding, mask)
    assert (answer.code, answer.reason) == ("INVALID_ARGUMENT", "INVALID_FIELD")
    fields = [each["field"] for detail in answer.details for each in detail.get("fieldViolations", ())]
    snake = [name.replace("logoUri", "logo_uri").replace("displayName", "display_name") for name in fields]
    assert field.replace("_", "").lower() in {name.replace("_", "").lower() for name in snake}


async def test_a_member_changes_nothing(transport: Transport, mesh: Mesh, world: World) -> None:
    user = await world.user(await world.tenant())
    answer = await change(transport, mesh, user.tenant, {"displayName": "Mine"}, token=user.token)
    assert (answer.code, answer.reason) == ("PERMISSION_DENIED", "PERMISSION_MISSING")


async def test_over_rest_names_that_must_look_alike_have_the_same_bytes(mesh: Mesh, world: World) -> None:
    """A tenant without a branding, a suspended one that has one, and none: status, headers and body are equal."""
    unbranded, suspended = await world.tenant(), await world.tenant()
    await world.operate(f"{BRANDING}/UpdateTenantBranding", {"id": suspended.id, "branding": {"displayName": "Secret"}})
    await world.operate("tenantmesh.tenant.v1.TenantService/SuspendTenant", {"id": suspended.id, "reason": "a test"})
    rest = RestTransport(mesh.edge_target)
    names = [unbranded.slug, suspended.slug, suspended.id, f"t-{uuid.uuid4().hex[:12]}"]
    queries = [f"{parameter}={name}" for name in names for parameter in ("slug", "tenant")]
    queries += ["slug=NOT%20A%20SLUG", "slug=", ""]  # the edge refuses such a `tenant`
    answers = [rest.send("GET", f"/api/v1/branding?{query}", []) for query in queries]
    answers.append(rest.send("GET", "/api/v1/branding", [("host", f"{suspended.slug}.example.com")]))
    assert [answer for answer in answers if answer[0] != 200] == []
    assert len({body for _, _, body in answers}) == 1
    kept = [{name: value for name, value in headers.items() if name not in VARYING} for _, headers, _ in answers]
    assert all(headers == kept[0] for headers in kept)
    assert kept[0]["cache-control"] == "public, max-age=60"
    assert kept[0]["etag"].startswith('W/"')
    assert "Secret" not in str(answers)


async def test_over_rest_a_tenant_is_named_by_the_query_and_once(mesh: Mesh, world: World) -> None:
    acme = await world.tenant()
    await world.operate(f"{BRANDING}/UpdateTenantBranding", {"id": acme.id, "branding": {"displayName": "Acme"}})
    rest = RestTransport(mesh.edge_target)
    for query in (f"?slug={acme.slug}", f"?tenant={acme.slug}", f"?tenant={acme.id}"):
        status, _, body = rest.send("GET", f"/api/v1/branding{query}", [])
        assert (status, json.loads(body)["displayName"]) == (200, "Acme")
    status, _, body = rest.send("GET", f"/api/v1/branding?slug={acme.slug}&host=nowhere.example", [])
    assert (status, json.loads(body)["details"][0]["reason"]) == (400, "INVALID_FIELD")


async def test_over_rest_put_replaces_and_patch_changes(mesh: Mesh, world: World) -> None:
    acme = await world.tenant()
    rest = RestTransport(mesh.edge_target)
    path, key = f"/api/v1/tenants/{acme.slug}/branding", [("authorization", f"Bearer {mesh.operator_key}")]
    rest.send("PUT", path, key, json.dumps({"displayName": "Acme", "colors": COLORS}).encode())
    status, _, body = rest.send("PATCH", f"{path}?updateMask=iconUri", key, b'{"iconUri": "https://a.example/i"}')
    assert (status, json.loads(body)["displayName"]) == (200, "Acme")
    status, _, body = rest.send("PUT", path, key, b'{"displayName": "Acme Inc"}')
    assert (status, json.loads(body)["displayName"], json.loads(body)["iconUri"]) == (200, "Acme Inc", "")


def at_host(mesh: Mesh, host: str, query: str = "") -> tuple[int, dict[str, str], bytes]:
    """The edge's answer to a browser at the host: status, body, and the headers that do not differ between calls."""
    status, headers, body = RestTransport(mesh.edge_target).send("GET", f"/api/v1/branding{query}", [("host", host)])
    return status, {name: value for name, value in headers.items() if name not in VARYING}, body


async def test_a_verified_host_shows_its_tenants_branding_at_the_edge(
    mesh: Mesh, transport: Transport, world: World, zone: NameServer
) -> None:
    acme, globex = await world.tenant("acme"), await world.tenant("globex")
    for tenant, name in ((acme, "Acme"), (globex, "Globex")):
        await world.operate(f"{BRANDING}/UpdateTenantBranding", {"id": tenant.id, "branding": {"displayName": name}})
    host, pending = unused(), unused()
    default = at_host(mesh, host)  # remembered as nobody's
    await of_operator(transport, mesh, globex).call("CreateLoginHost", pending)
    await of_operator(transport, mesh, acme).verified(zone, host)

    async def shown() -> bool:
        return bool(json.loads(at_host(mesh, host)[2])["displayName"] == "Acme")

    await until(shown, 5)
    assert at_host(mesh, f"{host.upper()}.:8443") == at_host(mesh, host) == at_host(mesh, unused(), f"?host={host}")
    strangers = [unused(), pending, f"{globex.slug}.{unused()}", f"t-{uuid.uuid4().hex}.localhost", "127.0.0.1", "a..b"]
    assert [answer for answer in map(partial(at_host, mesh), strangers) if answer != default] == []
    assert at_host(mesh, host, f"?slug={globex.slug}")[2] == at_host(mesh, unused(), f"?tenant={globex.slug}")[2]
    await world.operate(f"{TENANTS}/DeleteTenant", {"id": acme.id})

    async def gone() -> bool:
        return at_host(mesh, host) == default

    await until(gone, 5)


async def test_the_authority_of_a_grpc_call_names_the_tenant_whose_branding_is_shown(
    mesh: Mesh, world: World, zone: NameServer
) -> None:
    acme, host = await world.tenant("acme"), unused()
    await world.operate(f"{BRANDING}/UpdateTenantBranding", {"id": acme.id, "branding": {"displayName": "Acme"}})
    async with GrpcTransport(mesh.edge_target, mesh.edge_target) as edge:
        await of_operator(edge, mesh, acme).verified(zone, host)
        default = await shown(edge)
        for authority, wanted in ((host, "Acme"), (unused(), default["displayName"])):
            options = [("grpc.default_authority", authority)]
            async with GrpcTransport(mesh.edge_target, mesh.edge_target) as at:
                at._channels[mesh.edge_target] = grpc.aio.insecure_channel(mesh.edge_target, options=options)

                async def named(at: GrpcTransport = at, wanted: str = wanted) -> bool:
                    return bool((await shown(at))["displayName"] == wanted)

                assert await until(named, 5)
