"""Bodies with maps, whose names are data, and with messages that JSON writes as one value."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2

from tenantmesh.deploy.envoy import EdgeSettings
from tenantmesh.deploy.envoy.contract import read
from tenantmesh.deploy.envoy.fields import JsonKind
from tests.edge.client import Answer, Rest
from tests.edge.conftest import serving, until_healthy
from tests.edge.upstream import Upstream
from tests.ports import free_port

REQUEST = "tenantmesh.tenant.v1.CreateTenantRequest"
PATH = "/api/v1/tenants"
TAKEN = [
    '{"marks": {"a": "1", "A": "2", "validateonly": "3", "": "4"}}',
    '{"marks": {"\\u00fc": "1", "\\u00fd": "2"}}',
    '{"tenants": {"a": {"id": "m"}, "b": {}}}',
]
REFUSED = {
    '{"marks": {"a": "1", "a": "2"}}': "marks.a is given twice",
    '{"marks": {"a": "1", "\\u0061": "2"}}': "marks.a is given twice",
    '{"marks": {"ü": "1", "\\u00fc": "2"}}': "is given twice",
    '{"marks": {"a": {}}}': "marks.a must be a single value",
    '{"marks": []}': "marks must not be a list",
    '{"tenants": {"a": {"nonsense": 1}}}': "tenants.a.nonsense is no field",
    '{"tenants": {"a": 1}}': "tenants.a must be an object",
}


def add_map(message: descriptor_pb2.DescriptorProto, name: str, number: int, value: str = "") -> None:
    """Adds `map<string, value>`, of strings where no message is named."""
    kinds = descriptor_pb2.FieldDescriptorProto
    entry = message.nested_type.add(name=f"{name.capitalize()}Entry")
    entry.options.map_entry = True
    entry.field.add(name="key", json_name="key", number=1, label=kinds.LABEL_OPTIONAL, type=kinds.TYPE_STRING)
    kind = kinds.TYPE_MESSAGE if value else kinds.TYPE_STRING
    held = entry.field.add(name="value", json_name="value", number=2, label=kinds.LABEL_OPTIONAL, type=kind)
    if value:
        held.type_name = value
    field = message.field.add(name=name, json_name=name, number=number, label=kinds.LABEL_REPEATED)
    field.type, field.type_name = kinds.TYPE_MESSAGE, f".{REQUEST}.{entry.name}"


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> EdgeSettings:
    """An edge whose CreateTenant takes maps."""
    contract = descriptor_pb2.FileDescriptorSet.FromString(EdgeSettings().descriptors.read_bytes())
    messages = (
        message for file in contract.file if file.package == "tenantmesh.tenant.v1" for message in file.message_type
    )
    request = next(message for message in messages if message.name == "CreateTenantRequest")
    add_map(request, "marks", 90)
    add_map(request, "tenants", 91, ".tenantmesh.tenant.v1.GetTenantRequest")
    path = tmp_path_factory.mktemp("maps") / "maps.binpb"
    path.write_bytes(contract.SerializeToString())
    return EdgeSettings(descriptors=path, port=free_port(), admin_port=None)


async def test_names_in_a_map_are_data_and_stand_once(
    settings: EdgeSettings, upstream: Upstream, tmp_path: Path
) -> None:
    here = replace(settings, tenant=(f"127.0.0.1:{upstream.tenant_port}",), auth=(f"127.0.0.1:{upstream.auth_port}",))
    async with serving(here, tmp_path) as process:
        rest = Rest(here.port)
        await until_healthy(rest, process)

        async def post(body: str) -> Answer:
            json = [("content-type", "application/json")]
            return await asyncio.to_thread(rest.call, "POST", PATH, json, body.encode())

        for body in TAKEN:
            assert (await post(body)).status == 200, body
        for body, words in REFUSED.items():
            answer = await post(body)
            assert (answer.status, words in answer.json()["message"]) == (400, True), (body, answer.body)


def test_the_kind_of_a_field_is_the_form_of_its_json(settings: EdgeSettings) -> None:
    messages = read(settings.descriptors, settings.upstreams).messages
    kinds = {field.name: (field.kind, field.message) for field in messages[REQUEST]}
    assert kinds["slug"] == (JsonKind.VALUE, "")
    assert kinds["marks"] == (JsonKind.MAP, "")
    assert kinds["tenants"] == (JsonKind.MAP, "tenantmesh.tenant.v1.GetTenantRequest")
    grant = {field.name: field for field in messages["tenantmesh.tenant.v1.Grant"]}
    assert grant["expire_time"].kind is JsonKind.VALUE, "JSON writes a time as a string"
    value = {field.name: field for field in messages["tenantmesh.tenant.v1.FeatureValue"]}
    assert (value["static"].kind, value["static"].oneof) == (JsonKind.ANY, "value")
