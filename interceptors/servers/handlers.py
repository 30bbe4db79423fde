"""Parsing requests, checking answers and making refusals, for the adapters of both servers."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, TypeAlias

import grpc

from tenantmesh.interceptors.caller import CallerKind
from tenantmesh.interceptors.errors import FailedPrecondition, Internal, InvalidArgument, MeshError, Unimplemented
from tenantmesh.interceptors.link import CompiledChain
from tenantmesh.interceptors.metadata import REQUEST_ID, TRANSCODED
from tenantmesh.interceptors.passage import Passage
from tenantmesh.interceptors.servers.limit_headers import limit_headers
from tenantmesh.interceptors.servers.status import Refusal, refusal

__all__ = [
    "UNANSWERED",
    "UNTIL_ENDED",
    "FindChain",
    "Handler",
    "Parse",
    "Serialize",
    "bounded",
    "each_bounded",
    "malformed",
    "refusal_of",
    "request_reader",
    "unwritten",
]

# grpc's classes are generic in its type stubs only.
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Parse: TypeAlias = Callable[[bytes], Any]
Serialize: TypeAlias = Callable[[Any], bytes]
FindChain: TypeAlias = Callable[[str], CompiledChain]
"""Returns the compiled chain of a method, by its full name."""


def _never(_request: Any, _context: Any) -> Any:
    raise AssertionError("a link refuses every call of this handler")


UNANSWERED: Handler = grpc.unary_unary_rpc_method_handler(_never)
"""The handler behind a chain that refuses every call."""


UNTIL_ENDED = 0.25
"""Seconds in which gRPC tells that it has ended a call whose request is over. It mostly takes a thousandth."""


def unwritten() -> Unimplemented:
    """Return the refusal of a method whose generated stub has not been overridden."""
    return Unimplemented(
        "METHOD_NOT_IMPLEMENTED", "This version of the service does not serve the method yet. Ask a newer one."
    )


def request_reader(parse: Parse | None, most: int) -> Parse:
    """Return the deserializer of requests that may have `most` bytes each. It raises InvalidArgument for a larger one,
    and for one that can't be parsed.

    gRPC's own limit ends the call before the links know why; give the server a higher one. Without `parse` the handler
    takes bytes.
    """

    def read(body: bytes) -> Any:
        if len(body) > most:
            raise _request_too_large(len(body), most)
        try:
            return body if parse is None else parse(body)
        except Exception as error:
            raise malformed() from error

    return read


def malformed() -> InvalidArgument:
    """Return the refusal of a body that is not the method's request message."""
    return InvalidArgument(
        "MALFORMED_REQUEST", "The body is not the message that this method takes. Check the client's protos."
    )


def bounded(method: str, serialize: Serialize | None, most: int) -> Serialize:
    """Return the serializer of a method's answers, which may have `most` bytes each. It raises FailedPrecondition for a
    larger one, and Internal for None.

    gRPC itself checks the size after the links have ended: the call would count as served, and the caller would get a
    status without details. Without `serialize` the handler's answers are bytes.
    """

    def serialized(answer: Any) -> bytes:
        if answer is None:
            raise Internal("INTERNAL", f"the handler of {method} returned None instead of its response message")
        body: bytes = answer if serialize is None else serialize(answer)
        if len(body) > most:
            raise _answer_too_large(len(body), most)
        return body

    return serialized


def each_bounded(serialize: Serialize, answers: Iterable[Any]) -> Iterator[bytes]:
    """Yield the handler's answers as they are sent. A handler that is a generator is closed, however the call ends."""
    try:
        for answer in answers:
            yield serialize(answer)
    finally:
        if isinstance(answers, Generator):
            answers.close()


def _answer_too_large(size: int, most: int) -> FailedPrecondition:
    return FailedPrecondition(
        "ANSWER_TOO_LARGE",
        f"The answer has {size} bytes, and one message may have {most}. Ask for less at once, such as a smaller page.",
        metadata={"bytes": str(size), "limit": str(most)},
    )


def _request_too_large(size: int, most: int) -> InvalidArgument:
    return InvalidArgument(
        "REQUEST_TOO_LARGE",
        f"The request has {size} bytes, and one message may have {most}. Send less at once.",
        metadata={"bytes": str(size), "limit": str(most)},
    )


def refusal_of(chain: CompiledChain, call: Passage) -> Refusal:
    """Return the refusal of a call that failed: its error with the request id and the limits that it met. A caller
    without a credential is told nothing of the tenant, one over REST the fields as JSON has them."""
    error = call.error
    known = error if isinstance(error, MeshError) else Internal("INTERNAL", "a link failed outside the error boundary")
    if call.caller.kind is CallerKind.ANONYMOUS:
        known = known.told_to_strangers()
    if TRANSCODED in call.headers:
        known = known.told_in_json()
    code, message, details = refusal(known)
    return Refusal(code, message, ((REQUEST_ID, call.request_id), *limit_headers(chain, call), *details))
