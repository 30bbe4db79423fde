"""Canaries: strings that nothing else has are put into every text of a tenant over the API. After the purge they are in
no row, no key, no value and no log."""

from __future__ import annotations

import asyncio
import base64
import json
import uuid
from typing import Any

import asyncpg
import pytest
import redis
from google.protobuf.descriptor import FieldDescriptor

from tenantmesh.deploy.stack.engines.valkey_cluster import NODES, ValkeyCluster
from tenantmesh.tenant.v1 import tenant_pb2
from tenantmesh.tenant_svc.purges.proof import KEPT
from tests.behaviour.canary_rows import columns_without, fill, rows_with, superuser
from tests.fixtures.mesh import (
    AUTH,
    BRANDING,
    BULK,
    EMAIL_DOMAINS,
    ENTITLEMENTS,
    LOGIN_HOSTS,
    OPERATIONS,
    PASSWORD,
    QUOTAS,
    SETUP_LINKS,
    TENANTS,
    Mesh,
    World,
)
from tests.transports import Answer

PURGES = "tenantmesh.tenant.v1.PurgeService"
TENANT_FIELDS = ("labels", "contacts", "region", "planId", "parentId", "timeZone", "deleteProtection")
"""Fields of an import's line that refuse a canary."""
NOT_A_TEXT = {"id", "plan_id", "etag", "region", "time_zone", "locale", "currency", "parent_id", "primary_login_host"}
"""Texts of a tenant whose values are not free."""


_TWICE = "INSERT INTO tenant.tenant_slugs SELECT * FROM tenant.tenant_slugs WHERE tenant_id = $1"


class Canaries:
    """Strings that nothing else has, all with one beginning."""

    def __init__(self) -> None:
        self.mark = f"canary{uuid.uuid4().hex[:12]}"
        self._count = 0

    def __call__(self) -> str:
        self._count += 1
        return f"{self.mark}n{self._count}"


async def live(world: World, canary: Canaries) -> str:
    """A tenant that has used the API, with a canary wherever it takes a text. Return its id."""
    texts = {field.name for field in tenant_pb2.Tenant.DESCRIPTOR.fields if field.type == FieldDescriptor.TYPE_STRING}
    assert texts - NOT_A_TEXT == {"slug", "display_name", "external_id", "login_hosts"}, (
        "put a canary into the new text"
    )
    slug = canary()
    fields = {"displayName": canary(), "externalId": canary(), "labels": {"canary": canary()}}
    contact = {"type": "CONTACT_TYPE_BILLING", "displayName": canary(), "email": f"{canary()}@x.example"}
    asked = {"slug": slug, "contacts": [contact], "firstAdministratorEmail": f"{canary()}@x.example", **fields}
    made = await world.operate(f"{TENANTS}/CreateTenant", asked)
    tenant_id = str(made["id"])
    changed = {"id": tenant_id, "tenant": {"displayName": canary(), "slug": canary()}, "updateMask": "displayName,slug"}
    slug = (await world.operate(f"{TENANTS}/UpdateTenant", changed))["slug"]
    await set_up(world, tenant_id, canary)
    await remembered(world, canary, tenant_id, str(fields["externalId"]))
    await world.operate(f"{TENANTS}/SuspendTenant", {"id": tenant_id, "reason": canary()})
    await world.operate(f"{TENANTS}/ResumeTenant", {"id": tenant_id})
    change = {"id": tenant_id, "planId": "premium", "reason": canary()}
    await done(world, tenant_id, await world.operate(f"{TENANTS}/MigrateTenantPlan", change))
    override = {"value": {"limit": 5}, "reason": canary()}
    await world.operate(f"{ENTITLEMENTS}/SetOverride", {"id": tenant_id, "feature": "users", "override": override})
    grant = {"feature": "api_requests", "amount": 5, "reason": canary()}
    await world.operate(f"{ENTITLEMENTS}/CreateGrant", {"id": tenant_id, "grant": grant})
    await world.operate(f"{QUOTAS}/Allocate", {"id": tenant_id, "amounts": [{"meter": "api_requests", "amount": "1"}]})
    here = [("x-tenant-slug", slug)]
    account = {"email": f"{canary()}@x.example", "password": PASSWORD}
    registered = await world.transport.call(f"{AUTH}/Register", account | {"displayName": canary()}, metadata=here)
    assert registered.code == "OK", registered
    assert (await world.transport.call(f"{AUTH}/Login", account, metadata=here)).code == "OK"
    wrong = await world.transport.call(f"{AUTH}/Login", account | {"password": canary()}, metadata=here)
    assert wrong.code == "UNAUTHENTICATED"
    return tenant_id


async def set_up(world: World, tenant_id: str, canary: Canaries) -> None:
    """The names, the links and the branding of the tenant."""
    await world.operate(f"{LOGIN_HOSTS}/CreateLoginHost", {"id": tenant_id, "host": f"{canary()}.canaries.net"})
    await world.operate(f"{EMAIL_DOMAINS}/CreateEmailDomain", {"id": tenant_id, "domain": f"{canary()}.net"})
    link = {"id": tenant_id, "intent": "SETUP_INTENT_LOGIN_HOST", "note": canary()}
    await world.operate(f"{SETUP_LINKS}/CreateSetupLink", link)
    branding = {"displayName": canary(), "logoUri": f"https://{canary()}.example/l.svg"}
    await world.operate(f"{BRANDING}/UpdateTenantBranding", {"id": tenant_id, "branding": branding})


async def remembered(world: World, canary: Canaries, tenant_id: str, external_id: str) -> None:
    """A batch that may be repeated, and an import that rejects a line, both about the tenant."""
    renaming = {"id": tenant_id, "tenant": {"displayName": canary()}, "updateMask": "displayName"}
    await world.operate(f"{BULK}/BatchUpdateTenants", {"requests": [renaming], "requestId": str(uuid.uuid4())})
    bad = {"slug": canary(), "externalId": external_id, "contacts": [{"type": canary(), canary(): canary()}]}
    lines = base64.b64encode(json.dumps(bad).encode()).decode()
    started = await world.operate(f"{BULK}/ImportTenants", {"lines": lines})
    waiting = {"operationId": started["name"].removeprefix("operations/"), "timeout": "20s"}
    ended = await world.operate(f"{OPERATIONS}/WaitOperation", waiting)
    assert ended["response"]["counts"]["rejected"] == 1


async def done(world: World, tenant_id: str, operation: dict[str, Any]) -> None:
    request = {"id": tenant_id, "operationId": operation["name"].rpartition("/")[2], "timeout": "20s"}
    assert (await world.operate(f"{OPERATIONS}/WaitOperation", request))["done"]


def kept_in_store(mesh: Mesh, texts: tuple[str, ...]) -> list[str]:
    """The keys that hold one of the texts, in their name or their value."""
    store = mesh.stack.engines.store
    nodes = [store.node_url(node) for node in range(NODES)] if isinstance(store, ValkeyCluster) else [store.admin_url]
    found = []
    for url in nodes:
        with redis.Redis.from_url(url.get_secret_value()) as client:
            for key in client.scan_iter(count=1000):
                value = client.dump(key) or b""
                found += [key.decode() for text in texts if text.encode() in key + value]
    return found


def files_with(mesh: Mesh, text: str) -> list[str]:
    """The files of the installation that hold the text. Those of the database server are searched by its tables: rows
    that are deleted stay in its files until it needs their place."""
    places = mesh.stack.places
    files = [
        path
        for path in places.state.rglob("*")
        if path.is_file() and places.data.resolve() not in path.resolve().parents
    ]
    assert places.log("postgres") in files
    return [path.name for path in files if text.encode() in path.read_bytes()]


def _somebody() -> dict[str, Any]:
    name = f"b{uuid.uuid4().hex[:20]}"
    return {"slug": name, "externalId": f"crm:{name}"}


async def named_by_others(world: World, canary: Canaries, tenant: dict[str, Any]) -> None:
    """A batch and an import that take the tenant's names, and an import with wrong ones."""
    taken = {"slug": tenant["slug"], "externalId": tenant["externalId"]}
    for field, value in taken.items():
        asked = {**_somebody(), field: value}
        answer = await world.transport.call(f"{TENANTS}/CreateTenant", asked, token=world.mesh.operator_key)
        assert answer.code == "ALREADY_EXISTS", answer
    asked = {"requests": [taken], "returnPartialSuccess": True, "requestId": str(uuid.uuid4())}
    batch = await world.operate(f"{BULK}/BatchCreateTenants", asked)
    assert batch["results"][0]["error"]["code"] == 6, batch
    lines = [
        {**_somebody(), "externalId": tenant["externalId"], "displayName": canary()},
        {"slug": f"A {canary()}", "externalId": f"crm:{canary()}", "displayName": canary()},
        {"slug": tenant["slug"], "externalId": f"crm:{canary()}"},
        *({**_somebody(), name: canary()} for name in TENANT_FIELDS),
        {**_somebody(), "contacts": [{"email": canary()}]},
        {**_somebody(), "contacts": [{"email": {"at": canary()}}]},
        {**_somebody(), "labels": {"a": f"{canary()} {canary()}"}},
        {**_somebody(), "displayName": f"{canary()}\u202e"},
    ]
    text = "\n".join([*map(json.dumps, lines), f'{{"slug": "{canary()}', f'{{"slug": "{canary()}"}} {canary()}'])
    data = base64.b64encode(text.encode()).decode()
    imported = await world.operate(f"{BULK}/ImportTenants", {"lines": data, "onExisting": "ON_EXISTING_UPDATE"})
    request = {"operationId": imported["name"].rpartition("/")[2], "timeout": "20s"}
    assert (await world.operate(f"{OPERATIONS}/WaitOperation", request))["done"]


async def purged(world: World, tenant_id: str) -> Answer:
    """The proof, once there is one."""
    await world.operate(f"{TENANTS}/PurgeTenant", {"id": tenant_id})
    async with asyncio.timeout(60):
        while True:
            found = await world.transport.call(
                f"{PURGES}/GetPurge", {"tenantId": tenant_id}, token=world.mesh.operator_key
            )
            if found.code == "OK":
                return found
            await asyncio.sleep(0.1)


async def test_no_canary_outlives_its_tenant(mesh: Mesh, world: World) -> None:
    canary = Canaries()
    tenant_id = await live(world, canary)
    await named_by_others(world, canary, await world.operate(f"{TENANTS}/GetTenant", {"id": tenant_id}))
    assert kept_in_store(mesh, (tenant_id,)), "the search finds keys while there are some"
    await world.operate(f"{TENANTS}/DeleteTenant", {"id": tenant_id, "reason": canary()})
    async with superuser(mesh) as connection:
        await fill(connection, tenant_id, canary, canary.mark)
        with pytest.raises(asyncpg.UniqueViolationError):  # as of two writers at once, which the server logs
            await connection.execute(_TWICE, tenant_id)
        assert await columns_without(connection, tenant_id, canary.mark) == []
        assert len(await rows_with(connection, (canary.mark,))) > 20, "the search finds canaries while they live"
        found = await purged(world, tenant_id)
        assert await rows_with(connection, (canary.mark,)) == {}
        kept = await rows_with(connection, (tenant_id,))
        assert kept.keys() <= KEPT.keys()
        assert kept.keys() >= {name for name in KEPT if name.endswith(("proofs", "tombstones", "purged_tenants"))}
    assert canary.mark not in json.dumps(found.body)
    assert kept_in_store(mesh, (canary.mark, tenant_id)) == []
    assert files_with(mesh, canary.mark) == []
