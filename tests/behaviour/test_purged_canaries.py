"""Canaries: strings that nothing else has are put into every text of a tenant over the API. After the purge they are in
no row, no key, no value and no log."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import redis
from google.protobuf.descriptor import FieldDescriptor

from tenantmesh.deploy.stack.engines.valkey_cluster import NODES, ValkeyCluster
from tenantmesh.tenant.v1 import tenant_pb2
from tests.fixtures.mesh import AUTH, ENTITLEMENTS, OPERATIONS, PASSWORD, QUOTAS, TENANTS, Mesh, World
from tests.transports import Answer

PURGES = "tenantmesh.tenant.v1.PurgeService"
NOT_A_TEXT = {"id", "plan_id", "etag", "region", "time_zone", "locale", "currency", "parent_id", "primary_login_host"}
"""Texts of a tenant whose values are not free."""


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
    made = await world.operate(f"{TENANTS}/CreateTenant", {"slug": slug, "contacts": [contact], **fields})
    tenant_id = str(made["id"])
    changed = {"id": tenant_id, "tenant": {"displayName": canary(), "slug": canary()}, "updateMask": "displayName,slug"}
    slug = (await world.operate(f"{TENANTS}/UpdateTenant", changed))["slug"]
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


async def done(world: World, tenant_id: str, operation: dict[str, Any]) -> None:
    request = {"id": tenant_id, "operationId": operation["name"].rpartition("/")[2], "timeout": "20s"}
    assert (await world.operate(f"{OPERATIONS}/WaitOperation", request))["done"]


async def rows_with(mesh: Mesh, texts: tuple[str, ...]) -> dict[str, int]:
    """The rows of every table that hold one of the texts, in any column: as in a dump."""
    connection = await asyncpg.connect(mesh.stack.engines.postgres.url("postgres").get_secret_value())
    try:
        tables = await connection.fetch(
            "SELECT format('%I.%I', n.nspname, c.relname) AS name FROM pg_class c JOIN pg_namespace n "
            "ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p') AND n.nspname IN ('tenant', 'auth', 'jobs')"
        )
        found = {}
        for table in tables:
            # A bytea is shown in hex, so that a payload is looked for in that form too.
            forms = [form for text in texts for form in (text, text.encode().hex())]
            counting = " ".join(
                ("SELECT count(*) FROM", table["name"], "AS t, unnest($1::text[]) AS form",
                 "WHERE position(form IN t::text) > 0")
            )  # fmt: skip
            found[table["name"]] = await connection.fetchval(counting, forms)
        return {name: rows for name, rows in found.items() if rows}
    finally:
        await connection.close()


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


def logged(folder: Path, text: str) -> Iterator[str]:
    for log in folder.glob("*"):
        if log.is_file() and text in log.read_text(encoding="utf-8", errors="replace"):
            yield log.name


async def test_no_canary_outlives_its_tenant(mesh: Mesh, world: World) -> None:
    canary = Canaries()
    tenant_id = await live(world, canary)
    assert len(await rows_with(mesh, (canary.mark,))) > 5, "the search finds canaries while they live"
    assert kept_in_store(mesh, (tenant_id,)), "the search finds keys while there are some"
    await world.operate(f"{TENANTS}/DeleteTenant", {"id": tenant_id, "gracePeriod": "0s", "reason": canary()})
    found: Answer | None = None
    async with asyncio.timeout(60):
        while found is None or found.code != "OK":
            found = await world.transport.call(
                f"{PURGES}/GetPurge", {"tenantId": tenant_id}, token=world.mesh.operator_key
            )
            await asyncio.sleep(0.1)
    assert await rows_with(mesh, (canary.mark,)) == {}
    assert canary.mark not in json.dumps(found.body)
    assert set(await rows_with(mesh, (tenant_id,))) == {
        "tenant.purge_proofs", "tenant.tenant_tombstones", "tenant.mesh_operations",
    }  # fmt: skip
    assert kept_in_store(mesh, (canary.mark, tenant_id)) == []
    assert list(logged(mesh.stack.places.logs, canary.mark)) == []
