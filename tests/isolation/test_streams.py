"""The same for server-streaming methods, whose refusals come before the first message."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor

from tenantmesh.policy.v1 import policy_pb2
from tests.fixtures.mesh import Mesh, World
from tests.transports import METHODS, GrpcTransport, RestTransport, full_name, rest_call, with_token

STREAMING = [method for method in METHODS if method.server_streaming]


async def first(transport: GrpcTransport, method: MethodDescriptor, token: str | None) -> Any:
    """The stream's first message."""
    request = message_factory.GetMessageClass(method.input_type)()
    watch: grpc.aio.UnaryStreamMultiCallable[Any, Any] = transport.channel(full_name(method)).unary_stream(
        f"/{full_name(method)}",
        request_serializer=type(request).SerializeToString,
        response_deserializer=message_factory.GetMessageClass(method.output_type).FromString,
    )
    call = watch(
        request,
        metadata=grpc.aio.Metadata(*with_token(token, ())),
        timeout=10,
    )
    try:
        return await call.read()
    finally:
        call.cancel()


@pytest.mark.parametrize("method", STREAMING, ids=lambda method: method.name)
async def test_only_the_declared_audiences_may_watch(
    method: MethodDescriptor, grpc_transport: GrpcTransport, mesh: Mesh, world: World
) -> None:
    ada = await world.user(await world.tenant("acme"))
    audiences = set(method.GetOptions().Extensions[policy_pb2.method].audiences)
    for token, audience in (
        (None, policy_pb2.AUDIENCE_PUBLIC),
        (ada.token, policy_pb2.AUDIENCE_USER),
        (mesh.service_key, policy_pb2.AUDIENCE_SERVICE),
        (mesh.operator_key, policy_pb2.AUDIENCE_OPERATOR),
    ):
        if audience in audiences:
            assert await first(grpc_transport, method, token) is not grpc.aio.EOF
            continue
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await first(grpc_transport, method, token)
        assert caught.value.code() in {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED}


@pytest.mark.parametrize("method", STREAMING, ids=lambda method: method.name)
@pytest.mark.parametrize("accept", ["application/json", "text/event-stream", "application/x-ndjson"])
def test_a_refused_stream_is_a_json_error_over_rest(method: MethodDescriptor, accept: str, mesh: Mesh) -> None:
    verb, path, _ = rest_call(method, {})
    status, headers, body = RestTransport(mesh.edge_target).send(verb, path, [("accept", accept)])
    assert status == 401
    assert headers["content-type"] == "application/json"
    assert b"CREDENTIALS_MISSING" in body
