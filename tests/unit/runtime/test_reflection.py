"""Server reflection: both versions of the protocol, methods as symbols, and the services of an address."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pb2
from grpc_reflection.v1alpha import reflection_pb2

from tenantmesh.runtime.server import reflection
from tenantmesh.runtime.server.handlers import collected
from tenantmesh.tenant.v1 import tenant_service_pb2

SERVICE = "tenantmesh.tenant.v1.TenantService"
OWN_FILE = tenant_service_pb2.DESCRIPTOR.name
V1_FILE = "grpc/reflection/v1/reflection.proto"
REQUEST = reflection_pb2.ServerReflectionRequest


class Context:
    """The part of gRPC's context that the servicer reads."""

    def __init__(self, *metadata: tuple[str, str]) -> None:
        self._metadata = metadata

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return self._metadata


async def answer(version: str, request: Any, *metadata: tuple[str, str]) -> Any:
    """The answer to one request, by the handler that a server would find."""
    handlers = collected(reflection.registrations([SERVICE], [SERVICE, "tenantmesh.auth.v1.AuthService"]))
    details: Any = type("Details", (), {"method": f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo"})
    found: Any = handlers.service(details)
    sent = found.request_deserializer(request.SerializeToString())

    async def requests() -> AsyncIterator[Any]:
        yield sent

    (answered,) = [each async for each in found.stream_stream(requests(), Context(*metadata))]
    return reflection_pb2.ServerReflectionResponse.FromString(found.response_serializer(answered))


def files(answered: Any) -> list[str]:
    """The names of the files in an answer, the one that was asked for first."""
    encoded = answered.file_descriptor_response.file_descriptor_proto
    return [descriptor_pb2.FileDescriptorProto.FromString(file).name for file in encoded]


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
@pytest.mark.parametrize(
    ("symbol", "file"),
    [
        (SERVICE, OWN_FILE),
        (f"{SERVICE}.GetTenant", OWN_FILE),
        ("tenantmesh.tenant.v1.GetTenantRequest", OWN_FILE),
        ("tenantmesh.tenant.v1.GetTenantRequest.id", OWN_FILE),
        ("tenantmesh.policy.v1.method", "tenantmesh/policy/v1/policy.proto"),
        ("grpc.reflection.v1.ServerReflection", V1_FILE),
        ("grpc.reflection.v1.ServerReflection.ServerReflectionInfo", V1_FILE),
        ("grpc.reflection.v1alpha.ServerReflection.ServerReflectionInfo", "grpc_reflection/v1alpha/reflection.proto"),
    ],
)
async def test_a_symbol_is_found_with_its_imports(version: str, symbol: str, file: str) -> None:
    found = files(await answer(version, REQUEST(file_containing_symbol=symbol)))
    assert file in found
    assert len(found) == len(set(found))


@pytest.mark.parametrize(
    "symbol",
    ["", ".", SERVICE + ".Nothing", "tenantmesh.tenant.v1", "grpc.reflection.v1.Nothing", "nobody.v1.Nothing.Get"],
)
async def test_an_unknown_symbol_is_not_found(symbol: str) -> None:
    answered = await answer("v1", REQUEST(file_containing_symbol=symbol))
    assert answered.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]


@pytest.mark.parametrize("name", [OWN_FILE, V1_FILE])
async def test_a_file_is_found_by_its_name(name: str) -> None:
    assert name in files(await answer("v1", REQUEST(file_by_filename=name)))


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
async def test_the_list_is_of_what_can_be_called_at_the_address(version: str) -> None:
    here = await answer(version, REQUEST(list_services=""))
    at_the_edge = await answer(version, REQUEST(list_services=""), ("x-forwarded-host", "mesh.example"))
    both = {"grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"}
    assert {service.name for service in here.list_services_response.service} == {SERVICE, *both}
    assert {service.name for service in at_the_edge.list_services_response.service} == {
        SERVICE, "tenantmesh.auth.v1.AuthService", *both,
    }  # fmt: skip


async def test_the_policies_can_be_read_by_whoever_asks_for_extensions() -> None:
    known = await answer("v1", REQUEST(all_extension_numbers_of_type="google.protobuf.MethodOptions"))
    number = 50901
    assert number in known.all_extension_numbers_response.extension_number
    asked = reflection_pb2.ExtensionRequest(containing_type="google.protobuf.MethodOptions", extension_number=number)
    assert "tenantmesh/policy/v1/policy.proto" in files(await answer("v1", REQUEST(file_containing_extension=asked)))
