"""Server reflection, versions v1 and v1alpha: what a tool can ask about the services, messages and their options.

grpcio-reflection answers the protocol. Added here: version v1, whose messages are the same under another package;
methods as symbols, which the protocol asks for and Python's descriptor pool does not find; and the list of services by
address.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from typing import Any, TypeAlias

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, text_format
from google.protobuf.descriptor import FileDescriptor
from grpc_reflection.v1alpha import reflection, reflection_pb2, reflection_pb2_grpc

from tenantmesh.runtime.server.application import ServicerRegistration

__all__ = ["registrations"]

_Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"

V1ALPHA: str = reflection.SERVICE_NAME
V1 = V1ALPHA.replace("v1alpha", "v1")
V1_FILE = "grpc/reflection/v1/reflection.proto"
V1_PACKAGE = "grpc.reflection.v1."
SERVICES = (V1ALPHA, V1)
"""The names of both versions."""
EDGE_HEADER = "x-forwarded-host"
"""The header that the edge sets on every call."""


def registrations(served: Collection[str], mesh: Collection[str]) -> list[ServicerRegistration]:
    """Return the registrations of both versions. The names are those of `ReflectionServicer`."""
    servicer = ReflectionServicer((*served, *SERVICES), (*mesh, *SERVICES))
    return [(reflection_pb2_grpc.add_ServerReflectionServicer_to_server, servicer), (_add_v1_to_server, servicer)]


class ReflectionServicer:
    """Lists the services that the caller can call at the address it has called.

    `served` are those of this process. Behind the edge, which is one address for several processes, the list is `mesh`.
    """

    def __init__(self, served: Collection[str], mesh: Collection[str]) -> None:
        pool = _Symbols()
        self._here = reflection.aio.ReflectionServicer(served, pool)
        self._at_the_edge = reflection.aio.ReflectionServicer(mesh, pool)

    async def ServerReflectionInfo(self, requests: AsyncIterator[Any], context: _Context) -> AsyncIterator[Any]:
        """Answer each request of the stream."""
        forwarded = any(name == EDGE_HEADER for name, _ in context.invocation_metadata() or ())
        servicer: Any = self._at_the_edge if forwarded else self._here
        async for answer in servicer.ServerReflectionInfo(requests, context):
            yield answer


class _Symbols:
    """The descriptors of this process, as grpcio-reflection asks a DescriptorPool for them."""

    def __init__(self) -> None:
        self._pool = descriptor_pool.Default()
        self._v1 = descriptor_pool.DescriptorPool()
        self._v1.Add(_v1_file())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pool, name)

    def FindFileByName(self, name: str) -> FileDescriptor:
        """Return a file. Raises KeyError."""
        return (self._v1 if name == V1_FILE else self._pool).FindFileByName(name)

    def FindFileContainingSymbol(self, symbol: str) -> FileDescriptor:
        """Return the file that declares a type, a service, or a method `<package>.<service>.<method>`.

        Raises KeyError.
        """
        pool = self._v1 if symbol.startswith(V1_PACKAGE) else self._pool
        try:
            return pool.FindFileContainingSymbol(symbol)
        except KeyError:
            return pool.FindMethodByName(symbol).containing_service.file


def _v1_file() -> descriptor_pb2.FileDescriptorProto:
    """Return the file of version v1, which grpcio-reflection does not ship: that of v1alpha in another package."""
    alpha = descriptor_pb2.FileDescriptorProto()
    reflection_pb2.DESCRIPTOR.CopyToProto(alpha)
    renamed = text_format.MessageToString(alpha).replace("v1alpha", "v1")
    file = text_format.Parse(renamed, descriptor_pb2.FileDescriptorProto())
    file.name = V1_FILE
    file.options.ClearField("deprecated")
    return file


def _add_v1_to_server(servicer: ReflectionServicer, server: Any) -> None:
    """Add the servicer as version v1, as generated code would: the messages of both versions are the same bytes."""
    handler = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    server.add_registered_method_handlers(V1, {"ServerReflectionInfo": handler})
