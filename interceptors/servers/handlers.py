"""What the two servers' adapters share: parsing of requests and what is said of bodies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import grpc

from tenantmesh.interceptors.call import Call
from tenantmesh.interceptors.errors import Internal, InvalidArgument

__all__ = ["Handler", "Parse", "answered", "malformed", "parsed", "refusing"]

# grpc's classes are generic in its type stubs only.
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Parse = Callable[[bytes], Any]


def parsed(parse: Parse, body: bytes) -> Any:
    """The request message. Raises InvalidArgument for a body that is not one."""
    try:
        return parse(body)
    except Exception as error:
        raise malformed() from error


def malformed() -> InvalidArgument:
    """The refusal of a body that is not the method's request message."""
    return InvalidArgument(
        "MALFORMED_REQUEST", "The body is not the message that this method takes. Check the client's protos."
    )


def refusing(parse: Parse | None) -> Parse | None:
    """The deserializer of a request stream, with a refusal of ours for what can't be parsed."""
    return None if parse is None else lambda body: parsed(parse, body)


def answered(call: Call, response: Any) -> Any:
    """The response. Raises Internal for a handler that returned nothing."""
    if response is None:
        raise Internal("INTERNAL", f"the handler of {call.method} returned None instead of its response message")
    return response
