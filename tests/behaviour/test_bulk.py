"""Many tenants at once over every transport: one story over gRPC, at the services and the edge, and over REST."""

from __future__ import annotations

import asyncio
import base64
import json
import uuid
from typing import Any

import pytest

from tests.fixtures.mesh import BULK, OPERATIONS, TENANTS, Mesh
from tests.transports import Answer, RestTransport, Transport


def named(**fields: Any) -> dict[str, Any]:
    """A tenant of its own, as a request or a line has it."""
    name = f"b-{uuid.uuid4().hex[:20]}"
    return {"slug": name, "externalId": f"crm:{name}", **fields}


class Operator:
    """Calls as an operator."""

    def __init__(self, transport: Transport, mesh: Mesh) -> None:
        self._transport, self._mesh = transport, mesh

    async def __call__(self, method: str, request: dict[str, Any]) -> Answer:
        return await self._transport.call(method, request, token=self._mesh.operator_key)

    async def done(self, method: str, request: dict[str, Any]) -> dict[str, Any]:
        """What the call answers; it must succeed."""
        answer = await self(method, request)
        assert answer.code == "OK", answer
        return answer.body


@pytest.fixture
def operator(transport: Transport, mesh: Mesh) -> Operator:
    return Operator(transport, mesh)


async def test_tenants_are_created_changed_suspended_and_deleted_together(operator: Operator) -> None:
    items = [named(displayName="One"), named(displayName="Two")]
    made = await operator.done(f"{BULK}/BatchCreateTenants", {"requests": items, "requestId": str(uuid.uuid4())})
    tenants = [each["tenant"] for each in made["results"]]
    assert [each["slug"] for each in tenants] == [each["slug"] for each in items]
    renaming = [
        {"id": each["id"], "tenant": {"displayName": "Three", "etag": each["etag"]}, "updateMask": "displayName"}
        for each in tenants
    ]
    renamed = await operator.done(f"{BULK}/BatchUpdateTenants", {"requests": renaming})
    assert {each["tenant"]["displayName"] for each in renamed["results"]} == {"Three"}
    stale = await operator(f"{BULK}/BatchUpdateTenants", {"requests": renaming})
    assert (stale.code, stale.reason) == ("FAILED_PRECONDITION", "BATCH_REFUSED")
    suspending = [{"id": each["slug"], "reason": "unpaid"} for each in tenants]
    suspended = await operator.done(f"{BULK}/BatchSuspendTenants", {"requests": suspending})
    assert {each["tenant"]["state"] for each in suspended["results"]} == {"TENANT_STATE_SUSPENDED"}
    deleting = [{"id": each["id"]} for each in tenants]
    deleted = await operator.done(f"{BULK}/BatchDeleteTenants", {"requests": deleting})
    assert {each["tenant"]["state"] for each in deleted["results"]} == {"TENANT_STATE_DELETED"}


async def test_a_refused_batch_names_items_and_fields_and_in_part_the_others_count(operator: Operator) -> None:
    good, bad = named(), named(slug="A B")
    refused = await operator(f"{BULK}/BatchCreateTenants", {"requests": [good, bad]})
    assert (refused.code, refused.reason) == ("INVALID_ARGUMENT", "INVALID_FIELD")
    (violation,) = next(each["fieldViolations"] for each in refused.details if "fieldViolations" in each)
    assert violation["field"] == "requests[1].slug"
    missing = await operator(f"{TENANTS}/GetTenant", {"id": good["slug"]})
    assert missing.code == "NOT_FOUND"
    in_part = {"requests": [good, bad], "returnPartialSuccess": True}
    answer = await operator.done(f"{BULK}/BatchCreateTenants", in_part)
    assert answer["results"][0]["tenant"]["slug"] == good["slug"]
    assert answer["results"][1]["error"]["code"] == 3


async def test_lines_are_imported_as_an_operation_of_the_mesh(operator: Operator) -> None:
    lines = [named(displayName="Ä", region="eu-central"), named(slug="A B")]
    data = base64.b64encode("\n".join(json.dumps(each) for each in lines).encode()).decode()
    started = await operator.done(f"{BULK}/ImportTenants", {"lines": data, "requestId": str(uuid.uuid4())})
    assert started["name"].startswith("operations/")
    assert started["metadata"]["lines"] == 2
    operation = started["name"].removeprefix("operations/")
    while not (ended := await operator.done(f"{OPERATIONS}/GetOperation", {"operationId": operation}))["done"]:
        await asyncio.sleep(0.1)
    assert ended["response"]["counts"] == {"created": 1, "rejected": 1} | {
        name: 0 for name in ("updated", "unchanged") if name in ended["response"]["counts"]
    }
    (rejected,) = ended["response"]["rejectedLines"]
    assert (rejected["line"], rejected["reason"][:5]) == ("2", "slug:")
    listed = await operator.done(f"{OPERATIONS}/ListOperations", {"type": "ImportTenants", "pageSize": 1000})
    (ours,) = (each for each in listed["operations"] if each["name"] == started["name"])
    assert ours["response"]["counts"] == ended["response"]["counts"]
    assert not ours["response"].get("rejectedLines"), "they may be many, and GetOperation has them"
    found = await operator.done(f"{TENANTS}/GetTenant", {"id": lines[0]["slug"]})
    assert (found["externalId"], found["region"]) == (lines[0]["externalId"], "eu-central")


@pytest.mark.parametrize("path", ["batchCreate", "batchUpdate", "batchSuspend", "batchDelete", "import"])
def test_bodies_that_are_too_large_are_refused_at_the_edge(mesh: Mesh, path: str) -> None:
    rest = RestTransport(mesh.edge_target)
    headers = [("authorization", f"Bearer {mesh.operator_key}")]
    body = b'{"requestId": "' + b"x" * 2_000_000 + b'"}'
    status, _, answer = rest.send("POST", f"/api/v1/tenants:{path}", headers, body)
    assert (status, json.loads(answer)["code"]) == (413, 8)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"requests": 1}', b'{"requests": [null]}', b'{"requests": "\xff"}', b'{"lines": "%%%"}']
)
@pytest.mark.parametrize("path", ["batchCreate", "batchUpdate", "batchSuspend", "batchDelete", "import"])
def test_bodies_that_are_no_requests_are_refused(mesh: Mesh, path: str, body: bytes) -> None:
    rest = RestTransport(mesh.edge_target)
    headers = [("authorization", f"Bearer {mesh.operator_key}")]
    status, _, answer = rest.send("POST", f"/api/v1/tenants:{path}", headers, body)
    assert (status, json.loads(answer)["code"]) == (400, 3), answer
