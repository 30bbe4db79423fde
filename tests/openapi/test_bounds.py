"""The services refuse what is beyond a bound of the OpenAPI document."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.fixtures.mesh import Mesh, Tenant, World
from tests.transports import RestTransport
from tooling.openapi.__main__ import DOCUMENT


@dataclass(frozen=True)
class Beyond:
    """A request with one value that is just beyond its bound."""

    verb: str
    path: str
    field: str
    value: Any
    where: str

    def __str__(self) -> str:
        return f"{self.verb} {self.path} {self.where} {self.field}"


PATHS = {
    "/features/{id}": "/features/api_requests",
    "/plans/{id}": "/plans/basic",
    "{feature}": "api_requests",
    "{gauge}": "users",
}
"""Resources that exist, so that a request is refused for its value."""
ITEMS: dict[str, Any] = {
    "checks": {"id": "basic", "feature": "api_requests"},
    "amounts": {"meter": "api_requests", "amount": "1"},
    "domains": "acme.example",
    "hosts": "login.acme.example",
}


TENANT = {"slug": "some-slug", "displayName": "Some name"}
WHOLE_TENANTS = {(verb, "/api/v1/tenants/{id}") for verb in ("PUT", "PATCH")}
"""What a change of a whole tenant must name, beside the field that is beyond its bound."""


def beyond(name: str, schema: dict[str, Any]) -> Iterator[Any]:
    """Values of a field that are just beyond the bounds of its schema."""
    if "maxLength" in schema:
        yield "a" * (schema["maxLength"] + 1)
    if "minimum" in schema:
        yield schema["minimum"] - 1
    if "maximum" in schema:
        yield schema["maximum"] + 1
    if "maxItems" in schema:
        yield [ITEMS[name]] * (schema["maxItems"] + 1)
    if "pattern" in schema:
        yield "Not A Name"


def requests() -> Iterator[Beyond]:
    """A request for each value."""
    document = json.loads(DOCUMENT.read_text(encoding="utf-8"))
    for path, verbs in document["paths"].items():
        for verb, operation in verbs.items():
            for parameter in operation.get("parameters", ()):
                for value in beyond(parameter.get("name", ""), parameter.get("schema", {})):
                    yield Beyond(verb.upper(), path, parameter["name"], value, parameter["in"])
            for name, schema in properties(document, operation).items():
                for value in beyond(name, schema):
                    yield Beyond(verb.upper(), path, name, value, "body")


def properties(document: dict[str, Any], operation: dict[str, Any]) -> dict[str, Any]:
    """The fields of the operation's body. Those of a resource that name it are not its own to change."""
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    if "$ref" in body:
        body = document["components"]["schemas"][body["$ref"].rpartition("/")[2]]
    named = {parameter.get("name") for parameter in operation.get("parameters", ())}
    return {name: schema for name, schema in body.get("properties", {}).items() if name not in named}


@pytest.fixture(scope="module")
async def tenant(world: World) -> Tenant:
    return await world.tenant()


@pytest.mark.parametrize("request_", list(requests()), ids=str)
async def test_a_value_beyond_its_bound_is_refused_by_name(mesh: Mesh, tenant: Tenant, request_: Beyond) -> None:
    path = request_.path.replace("/tenants/{id}", f"/tenants/{tenant.slug}")
    for template, existing in PATHS.items():
        path = path.replace(template, existing)
    path = re.sub(r"\{\w+\}", str(uuid.uuid4()), path)
    if request_.where == "query":
        path += "?" + urlencode({request_.field: request_.value})
    whole = TENANT if (request_.verb, request_.path) in WHOLE_TENANTS else {}
    body = json.dumps({**whole, request_.field: request_.value} if request_.where == "body" else {}).encode()
    headers = [("authorization", f"Bearer {mesh.operator_key}"), ("x-tenant-slug", tenant.slug)]
    sent = None if request_.verb in {"GET", "DELETE"} else body
    status, _, text = RestTransport(mesh.edge_target).send(request_.verb, path, headers, sent)
    assert status == 400, text
    violations = [each for detail in json.loads(text)["details"] for each in detail.get("fieldViolations", ())]
    wrong = {part.lower().replace("_", "") for each in violations for part in re.split(r"[.\[\]]", each["field"])}
    assert request_.field.lower() in wrong, text
