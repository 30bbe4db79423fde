"""What the two servers' adapters share: which handler is wrapped how, and what is said of bodies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import grpc

from interceptors.call import Call
from interceptors.errors import Internal, InvalidArgument
from interceptors.link import CompiledChain

# grpc's classes are generic in its type stubs only.
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Parse = Callable[[bytes], Any]


class HandlerWrapper:
    """Wraps a method's handler so that its calls pass the links.

    Unary requests are taken as bytes and parsed after the gates: a refused call costs no parsing, and a malformed body
    gets a status of ours. `parse` is None for `_unary` and `_streaming` where the request is a stream.
    """

    def _unary(self, chain: CompiledChain, behavior: Any, parse: Parse | None, serialize: Any) -> Any:
        """For handlers that answer with one message."""
        raise NotImplementedError

    def _streaming(self, chain: CompiledChain, behavior: Any, parse: Parse | None) -> Any:
        """For handlers that answer with many."""
        raise NotImplementedError

    def _wrap(self, chain: CompiledChain, handler: Handler) -> Handler:
        parse, serialize = handler.request_deserializer, handler.response_serializer
        if handler.request_streaming and handler.response_streaming:
            both = self._streaming(chain, handler.stream_stream, None)
            return grpc.stream_stream_rpc_method_handler(both, _refusing(parse), serialize)
        if handler.request_streaming:
            unary = self._unary(chain, handler.stream_unary, None, serialize)
            return grpc.stream_unary_rpc_method_handler(unary, _refusing(parse), None)
        if handler.response_streaming:
            streaming = self._streaming(chain, handler.unary_stream, parse)
            return grpc.unary_stream_rpc_method_handler(streaming, None, serialize)
        return grpc.unary_unary_rpc_method_handler(self._unary(chain, handler.unary_unary, parse, serialize))


def parsed(parse: Parse, body: bytes) -> Any:
    """The request message. Raises InvalidArgument for a body that is not one."""
    try:
        return parse(body)
    except Exception as error:
        raise InvalidArgument(
            "MALFORMED_REQUEST", "The body is not the message that this method takes. Check the client's protos."
        ) from error


def _refusing(parse: Parse | None) -> Parse | None:
    """The deserializer of a request stream, with a refusal of ours for what can't be parsed."""
    return None if parse is None else lambda body: parsed(parse, body)


def answered(call: Call, response: Any) -> Any:
    """The response. Raises Internal for a handler that returned nothing."""
    if response is None:
        raise Internal("INTERNAL", f"the handler of {call.method} returned None instead of its response message")
    return response
