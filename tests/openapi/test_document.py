"""The committed OpenAPI document says what the contract says."""

from __future__ import annotations

import asyncio
import json
import sys
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
    for method in contract.methods:
        for binding in method.bindings:
            operation = operations(document)[binding.verb, binding.path]
            assert operation.get("security") == ([] if method.public else None), binding


def test_every_error_is_a_status(document: dict[str, Any]) -> None:
    for key, operation in operations(document).items():
        schema = operation["responses"]["default"]["content"]["application/json"]["schema"]
        assert schema == {"$ref": "#/components/schemas/google.rpc.Status"}, key
    assert set(document["components"]["schemas"]["google.rpc.Status"]["properties"]) == {"code", "message", "details"}


def test_streams_say_in_which_forms_they_come(document: dict[str, Any], contract: Contract) -> None:
    streams = [binding for method in contract.methods if method.streams for binding in method.bindings]
    assert streams
    for binding in streams:
        content = operations(document)[binding.verb, binding.path]["responses"]["200"]["content"]
        assert set(content) == {"application/json", "application/x-ndjson", "text/event-stream"}


async def test_it_is_what_the_generator_makes_today() -> None:
    tool("protoc-gen-openapiv3")
    done = await asyncio.wait_for(run(Path(sys.executable), "-m", "tooling.openapi", "--check"), 60)
    assert done.code == 0, f"{done.err} (in {ROOT})"
