"""The interceptor of the thread-pool `grpc.server`. Where a link must wait, its coroutine runs on the chain's own loop,
in a thread beside the pool; the fast path never goes there."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator
from dataclasses import dataclass
from time import monotonic, perf_counter
from types import TracebackType
from typing import Any, NoReturn, Self

import grpc

from tenantmesh.interceptors.link import CompiledChain, MessageGate, leave_all
from tenantmesh.interceptors.passage import HandlerAborted, Passage, current
from tenantmesh.interceptors.servers.handlers import (
    UNANSWERED,
    UNTIL_ENDED,
    FindChain,
    Handler,
    Parse,
    Serialize,
    bounded,
    each_bounded,
    malformed,
    refusal_of,
    request_reader,
    unwritten,
)
from tenantmesh.interceptors.servers.limit_headers import send_short_limits
from tenantmesh.interceptors.servers.loop_thread import LoopThread
from tenantmesh.interceptors.servers.watchdog import ThreadWatchdog
from tenantmesh.interceptors.unknown_methods import UnknownMethods

__all__ = ["ThreadInterceptor"]

LONGEST_WAIT = 10.0
"""Seconds that a pool thread waits for a link at most, whatever the call's deadline."""


class ThreadInterceptor(grpc.ServerInterceptor):
    """See the module. `close()` it when the server has stopped, or use it as a context manager.

    start, close: begin and end what the chain does in the background, on the interceptor's loop.
    """

    def __init__(
        self,
        find: FindChain,
        unknown: UnknownMethods,
        read_timeout: float,
        max_request_bytes: int,
        max_answer_bytes: int,
        start: Callable[[], Coroutine[Any, Any, None]],
        close: Callable[[], Coroutine[Any, Any, None]],
    ) -> None:
        self._find = find
        self._close = close
        self._handlers: dict[str, Handler] = {}
        self._read_timeout = read_timeout
        self._max_request_bytes = max_request_bytes
        self._max_answer_bytes = max_answer_bytes
        self._loop = LoopThread()
        self._watchdog = ThreadWatchdog(self._loop.loop)
        self._unknown = unknown
        self._refusing_unknown = self._wrap(unknown.chain, UNANSWERED)
        self._loop.wait(start())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop the chain's background work, the watchdog and the loop."""
        self._watchdog.close()
        self._loop.wait(self._close())
        self._loop.close()

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Handler | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """Return the method's wrapped handler, for an unknown method one that refuses."""
        method: str = handler_call_details.method
        wrapped = self._handlers.get(method)
        if wrapped is None:
            handler = continuation(handler_call_details)
            if handler is None:  # not remembered by its name, which a stranger chose
                self._unknown.log(method)
                return self._refusing_unknown
            wrapped = self._handlers[method] = self._wrap(self._find(method), handler)
        return wrapped

    def _wrap(self, chain: CompiledChain, handler: Handler) -> Handler:
        """Return the handler with the links around it. Every one is request-streaming to grpc.server, which then calls
        it before the body is there. Messages are parsed here, because grpc.server loses a pool thread for good when it
        can't parse a message of a stream; and serialized here, because it takes every failure to do so for its own."""
        parse = request_reader(handler.request_deserializer, self._max_request_bytes)
        serialize = bounded(chain.policy.method, handler.response_serializer, self._max_answer_bytes)
        if handler.response_streaming:
            behavior = handler.stream_stream if handler.request_streaming else handler.unary_stream
            behavior = self._writing(chain, behavior)
            streaming = self._streaming(chain, *self._reading(chain, handler, behavior, parse), serialize)
            return grpc.stream_stream_rpc_method_handler(streaming, None, None)
        behavior = handler.stream_unary if handler.request_streaming else handler.unary_unary
        unary = self._unary(chain, *self._reading(chain, handler, behavior, parse), serialize)
        return grpc.stream_unary_rpc_method_handler(unary, None, None)

    def _unary(self, chain: CompiledChain, behavior: Any, parse: Parse | None, serialize: Serialize) -> Any:
        method = _Method(chain, parse, self._loop, self._watchdog.calls, self._read_timeout)

        def handle(request: Any, context: Any) -> Any:
            with _ThreadPassage(method, context) as call:
                return serialize(behavior(call.admit(request), context))

        return handle

    def _streaming(self, chain: CompiledChain, behavior: Any, parse: Parse | None, serialize: Serialize) -> Any:
        method = _Method(chain, parse, self._loop, self._watchdog.calls, self._read_timeout)

        def handle(request: Any, context: Any) -> Iterator[Any]:
            with _ThreadPassage(method, context) as call:
                yield from each_bounded(serialize, behavior(call.admit(request), context))

        return handle

    def _reading(self, chain: CompiledChain, handler: Handler, behavior: Any, parse: Parse) -> tuple[Any, Parse | None]:
        """Return the behavior, and how to parse its one request: None where it reads a stream, which is parsed as it is
        read."""
        if not handler.request_streaming:
            return behavior, parse
        if not chain.reads:
            return (lambda bodies, context: behavior(map(parse, bodies), context)), None

        def messages(bodies: Iterator[Any]) -> Iterator[Any]:
            for body in bodies:
                message = parse(body)
                self._pass(chain.reads, message)
                yield message

        return (lambda bodies, context: behavior(messages(bodies), context)), None

    def _writing(self, chain: CompiledChain, behavior: Any) -> Any:
        """Return the behavior of a stream of answers, with the links' gates before each."""
        if not chain.writes:
            return behavior

        def answers(request: Any, context: Any) -> Iterator[Any]:
            for message in behavior(request, context):
                self._pass(chain.writes, message)
                yield message

        return answers

    def _pass(self, gates: Iterable[MessageGate], message: Any) -> None:
        call = current.get()
        for gate in gates:
            if (waiting := gate(call, message)) is not None:
                _wait(self._loop, call, waiting)


@dataclass(frozen=True, slots=True)
class _Method:
    """The state that all calls of a method share."""

    chain: CompiledChain
    parse: Parse | None
    """None where the handler reads a stream of requests itself."""
    loop: LoopThread
    calls: dict[Passage, Callable[[], object]]
    read_timeout: float


class _ThreadPassage(Passage):
    """A call in its own thread. As a context manager it passes through the links' last moments, however it ends."""

    context: Any
    _entered = 0

    def __init__(self, method: _Method, context: Any) -> None:
        # Not by super(): a Python call for each call served.
        self.policy = method.chain.policy
        self.metadata = context.invocation_metadata()
        self.started = perf_counter()
        self.context = context
        self._method = method

    def __enter__(self) -> Self:
        self._method.calls[self] = self.context.cancel
        current.set(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        chain, context = self._method.chain, self.context
        try:
            if error is None:
                if self.runs_short or self.limited is not None:
                    send_short_limits(chain, self, context)
                self.code = context.code() or grpc.StatusCode.OK
        except Exception as raised:
            error = raised
        if isinstance(error, Exception | GeneratorExit):  # the error boundary decides
            self.error = _outcome(error, context)
        self._method.calls.pop(self, None)
        leave_all(chain.unwind[self._entered], self)
        if self.error is not None:
            _refuse(chain, self, context)

    def admit(self, request: Any) -> Any:
        """Pass the gates, in two steps with the parsing between them, and return the request."""
        method, entered = self._method, 0
        for enter in method.chain.enters:
            if (waiting := enter(self)) is not None:
                _wait(method.loop, self, waiting)
            self._entered = entered = entered + 1
        if method.parse is None:
            return request
        message = self._read(request, method.parse, method.read_timeout)
        for receive in method.chain.receives:
            if (waiting := receive(self, message)) is not None:
                _wait(method.loop, self, waiting)
        return message

    def _read(self, bodies: Iterator[bytes], parse: Parse, read_timeout: float) -> Any:
        """Return the one message of a unary request, within the read timeout."""
        limit = self.cancel_at
        self.cancel_at = min(limit, monotonic() + read_timeout)
        body = next(bodies, None)
        self.cancel_at = limit
        if body is None:
            _refuse_empty_request(self.context)
        return parse(body)

    def charge_blocking(self, meter: str, amount: int = 1) -> None:
        """As `Call.charge_blocking`."""
        if (waiting := self.begin_charge(meter, amount)) is not None:
            _wait(self._method.loop, self, waiting)


def _refuse_empty_request(context: Any) -> NoReturn:
    """Refuse a request that ended before its message. Where gRPC ended the call, because the client went away or the
    message is beyond gRPC's own limit, it says so a moment after the end: then the call is cancelled."""
    ended = threading.Event()
    if not context.add_callback(ended.set) or ended.wait(UNTIL_ENDED):
        raise grpc.RpcError
    raise malformed()


def _wait(loop: LoopThread, call: Passage, waiting: Coroutine[Any, Any, None]) -> None:
    remaining = call.time_remaining()
    loop.wait(waiting, LONGEST_WAIT if remaining is None else min(remaining, LONGEST_WAIT))


def _outcome(error: BaseException, context: Any) -> BaseException:
    # `context.abort` raises a bare Exception after it has set the code.
    if type(error) is Exception and not error.args and context.code() is not None:
        return HandlerAborted(context.code())
    if isinstance(error, NotImplementedError) and context.code() is grpc.StatusCode.UNIMPLEMENTED:
        return unwritten()
    # Reading and writing raise this once the client is gone.
    if isinstance(error, grpc.RpcError) and not context.is_active():
        cancelled = asyncio.CancelledError()
        cancelled.__cause__ = error
        return cancelled
    return error


def _refuse(chain: CompiledChain, call: Passage, context: Any) -> None:
    """Send what the boundary decided, or let grpc.server finish what the handler or the client ended."""
    error = call.error
    if isinstance(error, GeneratorExit | asyncio.CancelledError):
        raise error.__cause__ or error  # the client is gone; gRPC knows its own exception
    if isinstance(error, HandlerAborted):
        raise Exception  # gRPC's own way of leaving an aborted handler
    code, message, metadata = refusal_of(chain, call)
    context.set_trailing_metadata(metadata)
    context.abort(code, message)
