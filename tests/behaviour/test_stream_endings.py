"""A watch over REST, through the edge, says why it ends."""

from __future__ import annotations

import asyncio
import http.client
import json
import uuid

from tenantmesh.auth_svc.api_keys.bootstrap import create_key, revoke_key
from tenantmesh.deploy.stack import keys
from tests.fixtures.mesh import Mesh

SECONDS = 10


async def test_a_revoked_key_ends_its_watch_with_the_reason(mesh: Mesh) -> None:
    settings = keys.settings(mesh.stack.engines.postgres)
    key = await create_key(settings, f"watcher-{uuid.uuid4().hex[:8]}", "OPERATOR", ["*"])
    connection = http.client.HTTPConnection(mesh.edge_target, timeout=SECONDS)
    headers = {"authorization": f"Bearer {key}", "accept": "application/x-ndjson"}
    await asyncio.to_thread(connection.request, "GET", "/api/v1/tenants:watch", headers=headers)
    answer = await asyncio.to_thread(connection.getresponse)
    try:
        assert answer.status == 200
        assert json.loads(await asyncio.to_thread(answer.readline))["checkpoint"]["caughtUp"]
        assert await revoke_key(settings, uuid.UUID(key.split("_")[1]))
        async with asyncio.timeout(SECONDS):
            messages = [json.loads(line) for line in (await asyncio.to_thread(answer.read)).splitlines()]
    finally:
        connection.close()
    last = messages[-1]
    assert last["error"]["code"] == 16
    assert last["error"]["details"][0]["reason"] == "CREDENTIALS_INVALID"
    assert last["cursor"]
