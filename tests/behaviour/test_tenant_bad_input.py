"""Bad input in the life of a tenant: names that deceive, stale versions, reused request ids, bodies without an end.

Each gets its documented refusal over every transport, and nothing is changed by it.
"""

from __future__ import annotations

import http.client
import re
import select
import uuid
from typing import Any

import pytest

from tests.fixtures.mesh import TENANTS, Mesh, World
from tests.transports import Answer, GrpcTransport, RestTransport, Transport

DECEIVING = {
    "override": "Acme \u202egnp.eciovni",
    "isolate": "\u2066Acme\u2069",
    "mark": "Acme\u200f",
    "Cyrillic a": "P\u0430yPal",
    "Greek omicron": "G\u03bfogle",
    "invisible": "\u200b\u2060",
    "control": "Acme\x1b[31m",
    "two lines": "Acme\u2028Globex",
}
NO_SLUGS = {
    "Cyrillic": "\u0430cme-corp",
    "full width": "\uff41cme-corp",
    "accent": "acme\u0301-corp",
    "zero width": "ac\u200bme",
    "override": "acme\u202e",
    "Turkish": "ac\u0131me",
    "punycode": "xn--cme-7cd",
    "digits of another script": "acme\u0663",
    "capital": "Acme",
}
TEN_MEGABYTES = 10_000_000
CHUNK = 50_000


class Operator:
    """Calls TenantService as an operator, over one transport."""

    def __init__(self, transport: Transport, mesh: Mesh) -> None:
        self._transport = transport
        self._key = mesh.operator_key

    async def call(self, method: str, /, **request: Any) -> Answer:
        return await self._transport.call(f"{TENANTS}/{method}", request, token=self._key)

    async def wrong_fields(self, method: str, /, **request: Any) -> list[str]:
        """The fields that the refusal names."""
        answer = await self.call(method, **request)
        assert (answer.code, answer.reason) == ("INVALID_ARGUMENT", "INVALID_FIELD"), answer
        named = [each["field"] for detail in answer.details for each in detail.get("fieldViolations", ())]
        return [re.sub("([A-Z])", r"_\1", field).lower() for field in named]  # REST has the names of JSON

    async def read(self, tenant_id: str) -> dict[str, Any]:
        answer = await self.call("GetTenant", id=tenant_id)
        assert answer.code == "OK", answer
        return answer.body


@pytest.fixture
def operator(transport: Transport, mesh: Mesh) -> Operator:
    return Operator(transport, mesh)


@pytest.mark.parametrize("name", DECEIVING.values(), ids=DECEIVING)
async def test_a_name_that_deceives_is_refused(operator: Operator, world: World, name: str) -> None:
    tenant, slug = await world.tenant("named"), f"t-{uuid.uuid4().hex[:12]}"
    before = await operator.read(tenant.id)
    assert await operator.wrong_fields("CreateTenant", slug=slug, displayName=name) == ["display_name"]
    changed = {"displayName": name}
    mask = {"updateMask": "displayName"}
    assert await operator.wrong_fields("UpdateTenant", id=tenant.id, tenant=changed, **mask) == ["tenant.display_name"]
    assert (await operator.call("GetTenant", id=slug)).code == "NOT_FOUND"
    assert await operator.read(tenant.id) == before


@pytest.mark.parametrize("slug", NO_SLUGS.values(), ids=NO_SLUGS)
async def test_a_slug_is_of_plain_letters(operator: Operator, world: World, slug: str) -> None:
    tenant = await world.tenant("plain")
    before = await operator.read(tenant.id)
    assert await operator.wrong_fields("CreateTenant", slug=slug) == ["slug"]
    mask = {"updateMask": "slug"}
    assert await operator.wrong_fields("UpdateTenant", id=tenant.id, tenant={"slug": slug}, **mask) == ["tenant.slug"]
    assert await operator.wrong_fields("UndeleteTenant", id=tenant.id, slug=slug) == ["slug"]
    assert await operator.read(tenant.id) == before
    assert (await operator.call("GetTenant", id=slug)).code in {"NOT_FOUND", "INVALID_ARGUMENT"}


def patched(mesh: Mesh, tenant_id: str, mask: str) -> int:
    """The status of a PATCH of name and locale with that mask."""
    key = [("authorization", f"Bearer {mesh.operator_key}")]
    path = f"/api/v1/tenants/{tenant_id}?updateMask={mask}"
    return RestTransport(mesh.edge_target).send("PATCH", path, key, b'{"displayName": "New", "locale": "de"}')[0]


@pytest.mark.parametrize(
    ("mask", "fields"),
    [
        ("displayName", ["displayName"]),
        ("display_name", ["displayName"]),
        ("locale,locale", ["locale"]),
        ("displayName%2Clocale", ["displayName", "locale"]),
        ("contacts", []),
    ],
)
async def test_a_patch_changes_what_its_mask_names(mesh: Mesh, world: World, mask: str, fields: list[str]) -> None:
    tenant = await world.tenant("patched")
    before = await world.operate(f"{TENANTS}/GetTenant", {"id": tenant.id})
    assert patched(mesh, tenant.id, mask) == 200
    after = await world.operate(f"{TENANTS}/GetTenant", {"id": tenant.id})
    changed = {name for name in after if after[name] != before[name]} - {"etag", "updateTime"}
    assert sorted(changed) == fields


@pytest.mark.parametrize(
    "mask",
    [
        *("", "*", "*,displayName", ",", "tenant.displayName", "labels.team", "displayname", "%20displayName"),
        *(
            "displayName&updateMask=locale",
            "displayName,planId",
            "displayName,parentId",
            "etag",
            "a%00b",
            "%F0%9F%92%A9",
        ),
    ],
)
async def test_a_patch_with_another_mask_changes_nothing(mesh: Mesh, world: World, mask: str) -> None:
    tenant = await world.tenant("unpatched")
    before = await world.operate(f"{TENANTS}/GetTenant", {"id": tenant.id})
    assert patched(mesh, tenant.id, mask) == 400
    assert await world.operate(f"{TENANTS}/GetTenant", {"id": tenant.id}) == before


@pytest.mark.parametrize("method", ["UpdateTenant", "SuspendTenant", "ResumeTenant", "DeleteTenant", "UndeleteTenant"])
async def test_a_stale_etag_changes_nothing(operator: Operator, world: World, method: str) -> None:
    tenant = await world.tenant("stale")
    old = (await operator.read(tenant.id))["etag"]
    for name in ("SuspendTenant", "ResumeTenant"):
        assert (await operator.call(name, id=tenant.id, **({"reason": "x"} if name[0] == "S" else {}))).code == "OK"
    before = await operator.read(tenant.id)
    given: dict[str, Any] = {
        "UpdateTenant": {"tenant": {"displayName": "New", "etag": old}, "updateMask": "displayName"},
        "SuspendTenant": {"reason": "unpaid", "etag": old},
    }.get(method, {"etag": old})
    answer = await operator.call(method, id=tenant.id, **given)
    assert (answer.code, answer.reason) == ("ABORTED", "ETAG_MISMATCH")
    assert await operator.read(tenant.id) == before


@pytest.mark.parametrize(
    "other",
    [
        {"displayName": "Another"},
        {"labels": {"tier": "gold"}},
        {"timeZone": "Europe/Zurich"},
        {"deleteProtection": True},
    ],
    ids=lambda other: next(iter(other)),
)
async def test_a_request_id_is_for_one_request(operator: Operator, other: dict[str, Any]) -> None:
    request = {"slug": f"t-{uuid.uuid4().hex[:12]}", "requestId": str(uuid.uuid4())}
    made = await operator.call("CreateTenant", **request)
    assert made.code == "OK", made
    answer = await operator.call("CreateTenant", **request, **other)
    assert (answer.code, answer.reason) == ("ALREADY_EXISTS", "REQUEST_ID_REUSED")
    assert (await operator.call("CreateTenant", **request)).body == made.body


def answered_while_sending(mesh: Mesh, verb: str, path: str) -> int:
    """Send ten megabytes until an answer is there, and return its status: the edge does not wait for the rest."""
    connection = http.client.HTTPConnection(mesh.edge_target, timeout=20)
    connection.putrequest(verb, path)
    connection.putheader("authorization", f"Bearer {mesh.operator_key}")
    connection.putheader("content-type", "application/json")
    connection.putheader("content-length", str(TEN_MEGABYTES))
    connection.endheaders(b'{"slug": "')
    sent = 0
    while sent < TEN_MEGABYTES and not select.select([connection.sock], [], [], 0.001)[0]:
        connection.send(b"x" * CHUNK)
        sent += CHUNK
    try:
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("verb", "path"),
    [
        ("POST", "/api/v1/tenants/create"),
        ("PUT", "/api/v1/tenants/{id}"),
        ("PATCH", "/api/v1/tenants/{id}?updateMask=x"),
    ],
)
async def test_ten_megabytes_are_refused_at_the_edge(mesh: Mesh, world: World, verb: str, path: str) -> None:
    tenant = await world.tenant("large")
    before = await world.operate(f"{TENANTS}/GetTenant", {"id": tenant.id})
    status = answered_while_sending(mesh, verb, path.format(id=tenant.id))
    assert status == 413
    assert await world.operate(f"{TENANTS}/GetTenant", {"id": tenant.id}) == before


@pytest.mark.parametrize("where", ["edge_target", "tenant_target"])
async def test_so_are_they_over_grpc(mesh: Mesh, where: str) -> None:
    target = getattr(mesh, where)
    async with GrpcTransport(target, target) as transport:
        request = {"slug": "large", "displayName": "x" * TEN_MEGABYTES}
        answer = await transport.call(f"{TENANTS}/CreateTenant", request, token=mesh.operator_key)
        assert answer.code in {"INVALID_ARGUMENT", "RESOURCE_EXHAUSTED"}, answer
        assert (await transport.call(f"{TENANTS}/ListTenants", token=mesh.operator_key)).code == "OK"
