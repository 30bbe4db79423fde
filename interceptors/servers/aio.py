"""The one interceptor that grpc.aio sees. Runs the links around handlers of all four kinds, in the RPC's own task.

grpc.aio's `intercept_service` wraps handler look-up, not the call, so the handler is wrapped instead: once per method,
then remembered. Every wrapped handler is a request-streaming one to grpc.aio, which then starts it before the body is
there: the gates decide from the metadata alone, a refused call costs no parsing, and a call whose body never comes can
be ended with a status. Reading one message from a stream costs what receiving a unary request does.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from time import monotonic
from typing import Any, TypeAlias

import grpc

from tenantmesh.interceptors.link import CompiledChain, MessageGate, leave_all
from tenantmesh.interceptors.metadata import TRANSCODED
from tenantmesh.interceptors.passage import HandlerAborted, Passage, Waiting, current
from tenantmesh.interceptors.servers.aio_messages import watching_messages
from tenantmesh.interceptors.servers.handlers import (
    UNANSWERED,
    UNTIL_ENDED,
    FindChain,
    Handler,
    Parse,
    bounded,
    malformed,
    refusal_of,
    request_reader,
    unwritten,
)
from tenantmesh.interceptors.servers.limit_headers import limit_headers, send_short_limits
from tenantmesh.interceptors.servers.watchdog import AioWatchdog
from tenantmesh.interceptors.unknown_methods import UnknownMethods

__all__ = ["AioInterceptor"]

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Behavior: TypeAlias = Callable[[Any, Context], Awaitable[Any]]
"""A handler, as a coroutine function of gRPC's two arguments."""
_EOF: Any = grpc.aio.EOF
Finish: TypeAlias = Callable[[Any], Any]
"""Turns what a handler returned into what gRPC sends."""


class AioInterceptor(grpc.aio.ServerInterceptor):
    """See the module."""

    def __init__(
        self,
        find: FindChain,
        unknown: UnknownMethods,
        read_timeout: float,
        longest_watch: float,
        max_request_bytes: int,
        max_answer_bytes: int,
    ) -> None:
        self._find = find
        self._unknown = unknown
        self._read_timeout = read_timeout
        self._max_request_bytes = max_request_bytes
        self._max_answer_bytes = max_answer_bytes
        self._handlers: dict[str, tuple[CompiledChain, Handler]] = {}
        self._watchdog = AioWatchdog(longest_watch)
        self._refusing_unknown = (unknown.chain, self._wrap(unknown.chain, UNANSWERED))

    def end_watches(self) -> None:
        """End the open watches, each with its reason. Call it on the loop that serves, before the server stops."""
        self._watchdog.end_watches()

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """Make the Passage and return the method's wrapped handler, for an unknown method one that refuses."""
        method: str = handler_call_details.method
        known = self._handlers.get(method)
        if known is None:
            known = await self._find_handler(continuation, handler_call_details)
        compiled, wrapped = known
        current.set(Passage(compiled.policy, handler_call_details.invocation_metadata))
        return wrapped

    async def _find_handler(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        details: grpc.HandlerCallDetails,
    ) -> tuple[CompiledChain, Handler]:
        method: str = details.method
        handler = await continuation(details)
        if handler is None:  # not remembered by its name, which a stranger chose
            self._unknown.log(method)
            return self._refusing_unknown
        chain = self._find(method)
        known = self._handlers[method] = (chain, self._wrap(chain, handler))
        return known

    def _wrap(self, chain: CompiledChain, handler: Handler) -> Handler:
        """Return the handler with the links around it."""
        parse = request_reader(handler.request_deserializer, self._max_request_bytes)
        serialize = bounded(chain.policy.method, handler.response_serializer, self._max_answer_bytes)
        behavior: Any
        # Where the handler reads the request stream itself, gRPC parses each message for it.
        own, grpcs = (None, parse) if handler.request_streaming else (parse, None)
        if handler.response_streaming:
            behavior = _stream(handler.stream_stream if handler.request_streaming else handler.unary_stream)
            if chain.reads or chain.writes:
                behavior = watching_messages(chain, behavior)
            around = self._around(chain, own, behavior, _written)
            return grpc.stream_stream_rpc_method_handler(around, grpcs, serialize)
        behavior = handler.stream_unary if handler.request_streaming else handler.unary_unary
        if chain.reads:
            behavior = watching_messages(chain, behavior)
        around = _Asynchronous(self._around(chain, own, behavior, serialize))
        return grpc.stream_unary_rpc_method_handler(around, grpcs, None)

    def _around(self, chain: CompiledChain, parse: Parse | None, behavior: Behavior, finish: Finish) -> Any:
        """Return what grpc.aio calls for a method: the gates, the handler, and the way out. One coroutine on purpose:
        one per step would cost more than the steps. Without `parse` the handler reads the requests itself."""
        enters, receives, unwind = chain.enters, chain.receives, chain.unwind
        watch, calls, read_timeout = self._watchdog.watch, self._watchdog.calls, self._read_timeout

        async def handle(request: Any, context: Context) -> Any:
            call = current.get()
            call.context = context
            watch(call)
            entered = 0
            try:
                for enter in enters:
                    if (waiting := enter(call)) is not None:
                        await waiting
                    entered += 1
                if parse is not None:
                    limit, call.cancel_at = call.cancel_at, min(call.cancel_at, monotonic() + read_timeout)
                    body = await context.read()
                    call.cancel_at = limit
                    if body is _EOF:
                        await _without_request()
                    request = parse(body)
                    if receives:
                        await _receive(receives, call, request)
                answer = finish(await behavior(request, context))
                if (waiting := _answering(chain, call, context)) is not None:
                    await waiting
            except (Exception, asyncio.CancelledError) as error:  # the error boundary decides
                call.error = _outcome(error, context)
            finally:
                calls.pop(call, None)
                leave_all(unwind[entered], call)
            if call.error is not None:
                await _refuse(chain, call, context)
            return answer

        return handle


class _Asynchronous:
    """A coroutine function that grpc.aio recognises at once.

    grpc.aio asks twice for each call whether a handler with one answer is asynchronous. Its first question is whether
    the handler can be awaited; only a plain function makes it ask further, which takes four times as long. Handlers
    with many answers must stay plain functions: there grpc.aio takes anything else for a generator.
    """

    __slots__ = ("_function",)

    def __init__(self, function: Behavior) -> None:
        self._function = function

    def __call__(self, request: Any, context: Context) -> Awaitable[Any]:
        return self._function(request, context)

    def __await__(self) -> Generator[Any, None, Any]:
        raise TypeError("call it, and await what it returns")


def _stream(behavior: Any) -> Behavior:
    """Return a behavior that answers with many messages: of a generator, or of a coroutine that calls `context.write`.
    A generator is closed here, so that its `finally` runs in the RPC's own task."""

    async def write_all(request: Any, context: Context) -> None:
        answers = behavior(request, context)
        if not isinstance(answers, AsyncIterator):
            await answers
            return
        generator: Any = answers  # closed where it is one; an iterator that has no `aclose` is no handler of gRPC
        async with contextlib.aclosing(generator) as messages:
            async for message in messages:
                await context.write(message)

    return write_all


def _written(_answer: Any) -> None:
    """Send nothing more: the handler has written its answers."""


async def _without_request() -> None:
    """Raise InvalidArgument for a call that ended before its request.

    Where gRPC ended the call, because the client went away or the message is beyond gRPC's own limit, it cancels this
    task a moment later: then the call counts as cancelled, not as malformed.
    """
    await asyncio.sleep(UNTIL_ENDED)
    raise malformed()


async def _receive(gates: tuple[MessageGate, ...], call: Passage, request: Any) -> None:
    for receive in gates:
        if (waiting := receive(call, request)) is not None:
            await waiting


def _answering(chain: CompiledChain, call: Passage, context: Context) -> Waiting:
    """Take over the code that the handler has set, and send the caller its limits."""
    if context.code():
        call.code = _code(context)
    if TRANSCODED in call.headers:
        return _send_rest_headers(chain, call, context)
    if call.runs_short or call.limited is not None:
        send_short_limits(chain, call, context)
    return None


async def _send_rest_headers(chain: CompiledChain, call: Passage, context: Context) -> None:
    """Send the limits as headers of the answer: the edge drops the trailers of answers over REST."""
    if headers := limit_headers(chain, call):
        with contextlib.suppress(grpc.aio.UsageError):  # a stream or the handler has sent the headers already
            await context.send_initial_metadata(headers)


def _outcome(error: BaseException, context: Context) -> BaseException:
    if isinstance(error, grpc.aio.AbortError):
        aborted = HandlerAborted(_code(context))
        aborted.__cause__ = error
        return aborted
    if isinstance(error, NotImplementedError) and _code(context) is grpc.StatusCode.UNIMPLEMENTED:
        return unwritten()
    return error


def _code(context: Context) -> Any:
    code = context.code()
    return code if isinstance(code, grpc.StatusCode) else _BY_NUMBER.get(code, grpc.StatusCode.UNKNOWN)


_BY_NUMBER: dict[Any, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}


async def _refuse(chain: CompiledChain, call: Passage, context: Context) -> None:
    """Send what the boundary decided, or let grpc.aio finish what the handler or the client ended."""
    error = call.error
    if isinstance(error, HandlerAborted) and error.__cause__ is not None:
        raise error.__cause__  # grpc.aio insists on the very same exception
    if isinstance(error, asyncio.CancelledError):
        raise error
    code, message, metadata = refusal_of(chain, call)
    if call.ended_by is not None:
        task: Any = asyncio.current_task()
        task.uncancel()
    await context.abort(code, message, metadata)
