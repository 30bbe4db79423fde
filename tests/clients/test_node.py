"""A Node service through the edge and straight at tenant_svc."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import pytest

from tests.clients.tools import DESCRIPTORS, ROOT, TOOLS, Mesh, node, run

CLIENT = Path(__file__).with_name("client.js")
NOT_FOUND, UNAUTHENTICATED = 5, 16


@pytest.mark.parametrize(
    ("where", "contract"),
    [("edge_target", DESCRIPTORS), ("tenant_target", ROOT / "protos")],
    ids=["edge, descriptors", "tenant_svc, protos"],
)
async def test_node_creates_reads_watches_and_is_refused(mesh: Mesh, where: str, contract: Path) -> None:
    slug = f"node-{uuid.uuid4().hex[:12]}"
    environment = {"OPERATOR_KEY": mesh.operator_key, "NODE_PATH": str(TOOLS / "node" / "node_modules")}
    done = await run(node(), str(CLIENT), getattr(mesh, where), str(contract), slug, environment=environment)
    assert done.code == 0, done.err
    said = json.loads(done.out)
    assert (said["created"]["slug"], said["created"]["display_name"]) == (slug, "Nœud")
    assert said["found"]["id"] == said["created"]["id"]
    if where == "edge_target":  # a service does not repeat the id that a caller chose
        assert said["requestId"] == f"node-{slug}"
    assert said["missing"]["code"] == NOT_FOUND
    assert "TENANT_NOT_FOUND" in said["missing"]["rich"]
    assert said["anonymous"]["code"] == UNAUTHENTICATED
    assert "CREDENTIALS_MISSING" in said["anonymous"]["rich"]
    assert said["watched"]["result"]["tenant"]["id"] == said["created"]["id"]
    assert said["watched"]["cursor"]
