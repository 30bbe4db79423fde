"""The committed OpenAPI document says what the contract says."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tenantmesh.deploy.envoy.contract import Contract, read
from tenantmesh.deploy.envoy.settings import EdgeSettings
from tests.clients.tools import run, tool
from tooling.openapi.__main__ import DOCUMENT, ROOT


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(DOCUMENT.read_text(encoding="utf-8"))
    return loaded


@pytest.fixture(scope="module")
def contract() -> Contract:
    settings = EdgeSettings()
    return read(settings.descriptors, settings.upstreams)


def operations(document: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(verb.upper(), path): one for path, verbs in document["paths"].items() for verb, one in verbs.items()}


def test_it_has_exactly_the_paths_of_the_contract(document: dict[str, Any], contract: Contract) -> None:
    assert set(operations(document)) == {(binding.verb, binding.path) for binding in contract.bindings}


def test_only_public_methods_need_no_credential(document: dict[str, Any], contract: Contract) -> None:
    scheme = document["components"]["securitySchemes"]["bearer"]
    assert (scheme["type"], scheme["scheme"], document["security"]) == ("http", "bearer", [{"bearer": []}])
    security = {binding: method.public for method in contract.methods for binding in method.bindings}
    assert set(security.values()) == {True, False}, "some methods are public, and some are not"
    for binding, public in security.items():
        operation = operations(document)[binding.verb, binding.path]
        assert operation.get("security") == ([] if public else None), binding


def test_every_error_is_a_status_with_typed_details(document: dict[str, Any]) -> None:
    responses = document["components"]["responses"]
    for key, operation in operations(document).items():
        for status, answer in operation["responses"].items():
            if status == "200":
                continue
            refused = responses[answer["$ref"].rpartition("/")[2]] if "$ref" in answer else answer
            schema = refused["content"]["application/json"]["schema"]
            assert schema == {"$ref": "#/components/schemas/google.rpc.Status"}, (key, status)
    schemas = document["components"]["schemas"]
    assert set(schemas["google.rpc.Status"]["properties"]) == {"code", "message", "details"}
    details = schemas["google.rpc.Status"]["properties"]["details"]["items"]
    assert details == {"$ref": "#/components/schemas/google.rpc.ErrorDetail"}
    detail = schemas["google.rpc.ErrorDetail"]["properties"]
    assert set(detail) >= {"@type", "reason", "metadata", "fieldViolations", "violations", "retryDelay", "requestId"}


def test_operations_name_the_refusals_that_their_policy_and_comment_make(document: dict[str, Any]) -> None:
    listed = {key: set(operation["responses"]) for key, operation in operations(document).items()}
    assert all(statuses >= {"200", "400", "401", "503", "default"} for statuses in listed.values())
    assert listed["POST", "/api/v1/tenants/create"] >= {"403", "404", "409"}
    assert listed["GET", "/api/v1/tenants/{id}"] >= {"403", "404", "429"}
    assert listed["GET", "/.well-known/jwks.json"] & {"403", "404", "409", "429"} == {"429"}


def test_the_tenant_can_be_named_where_a_call_needs_one(document: dict[str, Any]) -> None:
    named = {
        key[1]
        for key, operation in operations(document).items()
        if any("$ref" in parameter for parameter in operation.get("parameters", ()))
    }
    assert named == {"/api/v1/auth/register", "/api/v1/auth/login", "/api/v1/auth/token:refresh"}
    parameters = document["components"]["parameters"].values()
    assert {(each["name"], each["in"]) for each in parameters} == {
        ("x-tenant-slug", "header"), ("x-tenant-id", "header"), ("tenant", "query"),
    }  # fmt: skip


def nodes(value: Any) -> Iterator[dict[str, Any]]:
    """Every object in the document."""
    if isinstance(value, dict):
        yield value
    for member in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from nodes(member)


def test_generators_find_no_choice_between_schemas_and_one_schema_for_any(document: dict[str, Any]) -> None:
    assert not [node for node in nodes(document) if {"oneOf", "anyOf", "not"} & set(node)]
    anys = [node for node in nodes(document) if list(node.get("properties", ())) == ["@type"]]
    assert anys == [document["components"]["schemas"]["google.protobuf.Any"]]


def test_operations_have_names_of_their_own_and_a_summary_of_one_sentence(document: dict[str, Any]) -> None:
    found = operations(document).values()
    names = [operation["operationId"] for operation in found]
    assert len(names) == len(set(names))
    assert not [name for name in names if re.search(r"_\d+$", name)]
    assert all(operation["description"].startswith(operation["summary"]) for operation in found)


def test_required_fields_and_bounds_are_those_that_the_comments_state(document: dict[str, Any]) -> None:
    def body(path: str) -> dict[str, Any]:
        request = operations(document)["POST", path]["requestBody"]
        schema: dict[str, Any] = request["content"]["application/json"]["schema"]
        return schema

    register, create = body("/api/v1/auth/register"), body("/api/v1/tenants/create")
    assert register["required"] == ["email", "password"]
    assert register["properties"]["email"] | {"description": ""} == {
        "type": "string", "description": "", "minLength": 1, "maxLength": 254,
    }  # fmt: skip
    slug = create["properties"]["slug"]
    assert (create["required"], slug["minLength"], slug["maxLength"]) == (["slug"], 3, 40)
    for good, bad in (("acme", "Acme"), ("a-1", "a--1"), ("abc", "1bc")):
        assert re.search(slug["pattern"], good)
        assert not re.search(slug["pattern"], bad)
    assert "minLength" not in create["properties"]["displayName"], "empty means the slug"
    assert body("/api/v1/tenants/{id}/quota:allocate")["properties"]["amounts"]["maxItems"] == 16
    for operation in operations(document).values():
        for parameter in operation.get("parameters", ()):
            if parameter.get("name") == "pageSize":
                assert (parameter["schema"]["minimum"], parameter["schema"].get("maximum")) == (0, None)


def test_streams_say_in_which_forms_they_come(document: dict[str, Any], contract: Contract) -> None:
    streams = [binding for method in contract.methods if method.streams for binding in method.bindings]
    assert streams
    for binding in streams:
        content = operations(document)[binding.verb, binding.path]["responses"]["200"]["content"]
        # A client that takes the first form must not wait for the end of an array.
        assert list(content) == ["application/x-ndjson", "text/event-stream", "application/json"]


async def test_it_is_what_the_generator_makes_today() -> None:
    tool("protoc-gen-openapiv3")
    done = await asyncio.wait_for(run(Path(sys.executable), "-m", "tooling.openapi", "--check"), 60)
    assert done.code == 0, f"{done.err} (in {ROOT})"
