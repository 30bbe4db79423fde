"""The one interceptor that grpc.aio sees. Runs the links around handlers of all four kinds, in the RPC's own task.

grpc.aio's `intercept_service` wraps handler look-up, not the call, so the handler is wrapped instead: once per method,
then remembered. Every wrapped handler is a request-streaming one to grpc.aio, which then starts it before the body is
there: the gates decide from the metadata alone, a refused call costs no parsing, and a call whose body never comes can
be ended with a status. Reading one message from a stream costs what receiving a unary request does.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import grpc

from tenantmesh.interceptors.call import Call, current_call, enter_call
from tenantmesh.interceptors.errors import Internal, MeshError
from tenantmesh.interceptors.link import CompiledChain, Pending, leave_all
from tenantmesh.interceptors.links.error_boundary import Aborted
from tenantmesh.interceptors.metadata import REQUEST_ID, TRANSCODED
from tenantmesh.interceptors.servers.aio_messages import watching_messages
from tenantmesh.interceptors.servers.handlers import Handler, Parse, answered, malformed, parsed, refusing
from tenantmesh.interceptors.servers.limit_headers import limit_headers, runs_short, tell_limits
from tenantmesh.interceptors.servers.status import refusal
from tenantmesh.interceptors.servers.watchdog import AioWatchdog

if TYPE_CHECKING:
    from tenantmesh.interceptors.chain import Chain

__all__ = ["AioInterceptor"]

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Behavior: TypeAlias = Callable[[Any, Context], Awaitable[Any]]
"""A handler, as a coroutine function of gRPC's two arguments."""
Finish: TypeAlias = Callable[[Call, Any], Any]
"""Makes what gRPC sends of what a handler returned."""


class AioInterceptor(grpc.aio.ServerInterceptor):
    """See the module."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._read_timeout = chain.settings.read_timeout
        self._handlers: dict[str, tuple[CompiledChain, Handler]] = {}
        self._watchdog = AioWatchdog()

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """Makes the Call and returns the method's wrapped handler; None for an unknown method, as gRPC expects."""
        method: str = handler_call_details.method
        known = self._handlers.get(method)
        if known is None:
            handler = await continuation(handler_call_details)
            if handler is None:
                return None
            compiled = self._chain.compiled(method) or self._chain.denying(method)
            known = self._handlers[method] = (compiled, self._wrap(compiled, handler))
        compiled, wrapped = known
        call = Call(compiled.policy, handler_call_details.invocation_metadata)
        enter_call(call)
        return wrapped

    def _wrap(self, chain: CompiledChain, handler: Handler) -> Handler:
        """The handler with the links around it."""
        parse, serialize = handler.request_deserializer, handler.response_serializer
        behavior: Any
        # Where the handler reads the request stream itself, gRPC parses each message for it.
        own, grpcs = (None, refusing(parse)) if handler.request_streaming else (parse, None)
        if handler.response_streaming:
            behavior = _stream(handler.stream_stream if handler.request_streaming else handler.unary_stream)
            if chain.reads or chain.writes:
                behavior = watching_messages(chain, behavior)
            around = self._around(chain, own, behavior, _written)
            return grpc.stream_stream_rpc_method_handler(around, grpcs, serialize)
        behavior = handler.stream_unary if handler.request_streaming else handler.unary_unary
        if chain.reads:
            behavior = watching_messages(chain, behavior)
        return grpc.stream_unary_rpc_method_handler(
            self._around(chain, own, behavior, _serialized(serialize)), grpcs, None
        )

    def _around(self, chain: CompiledChain, parse: Parse | None, behavior: Behavior, finish: Finish) -> Any:
        """What grpc.aio calls for a method: the gates, the handler, and the way out. One coroutine on purpose: one per
        step would cost more than the steps. Without `parse` the handler reads the requests itself."""
        enters, receives, unwind = chain.enters, chain.receives, chain.unwind
        calls, wake, read_timeout = self._watchdog.calls, self._watchdog.wake, self._read_timeout

        async def handle(request: Any, context: Context) -> Any:
            call = current_call()
            call.context = context
            task = asyncio.current_task()
            assert task is not None  # noqa: S101  # gRPC runs every RPC in a task
            calls[call] = task.cancel
            wake()
            entered = 0
            try:
                for enter in enters:
                    if (pending := enter(call)) is not None:
                        await pending
                    entered += 1
                if parse is not None:
                    limit = _hurry(call, read_timeout)
                    request = _received(call, limit, parse, await context.read())
                    for receive in receives:
                        if (pending := receive(call, request)) is not None:
                            await pending
                answer = finish(call, await behavior(request, context))
                if (pending := _answering(call, context)) is not None:
                    await pending
            except (Exception, asyncio.CancelledError) as error:  # the error boundary decides
                call.error = _outcome(error, context)
            finally:
                calls.pop(call, None)
                leave_all(unwind[entered], call)
            if call.error is not None:
                await _refuse(call, context)
            return answer

        return handle


def _stream(behavior: Any) -> Behavior:
    """A handler that answers with many: a generator, or a coroutine that calls `context.write`. A generator is closed
    here, so that its `finally` runs in the RPC's own task."""

    async def write_all(request: Any, context: Context) -> None:
        answers = behavior(request, context)
        if not isinstance(answers, AsyncIterator):
            await answers
            return
        async with contextlib.aclosing(answers) as messages:  # type: ignore[type-var]
            async for message in messages:
                await context.write(message)

    return write_all


def _serialized(serialize: Any) -> Finish:
    """What a handler that answers with one message returned, as bytes; as it is where the handler makes them itself."""
    if serialize is None:
        return answered

    def finish(call: Call, answer: Any) -> Any:
        return serialize(answered(call, answer) if answer is None else answer)

    return finish


def _written(_call: Call, _answer: Any) -> None:
    """Nothing is left to send: the handler has written its answers."""


def _hurry(call: Call, read_timeout: float) -> float:
    """Gives the one message of a unary request so many seconds to come; returns what the call had."""
    limit = call.cancel_at
    call.cancel_at = min(limit, time.monotonic() + read_timeout)
    return limit


def _received(call: Call, limit: float, parse: Parse, body: Any) -> Any:
    """The message that has come, with the call's time given back to it."""
    call.cancel_at = limit
    if body is grpc.aio.EOF:
        raise malformed()
    return parsed(parse, body)


def _answering(call: Call, context: Context) -> Pending:
    """Notes the code that the handler has set, and tells the caller of its limits."""
    if context.code():
        call.code = _code(context)
    if TRANSCODED in call.headers:
        return _tell_rest_caller(call, context)
    if runs_short(call):
        tell_limits(call, context)
    return None


async def _tell_rest_caller(call: Call, context: Context) -> None:
    """REST callers see no trailers of an answer, since the edge drops them: they are told in its headers."""
    if headers := limit_headers(call):
        with contextlib.suppress(grpc.aio.UsageError):  # they have been sent: a stream, or a handler's own
            await context.send_initial_metadata(headers)


def _outcome(error: BaseException, context: Context) -> BaseException:
    if isinstance(error, grpc.aio.AbortError):
        aborted = Aborted(_code(context))
        aborted.__cause__ = error
        return aborted
    return error


def _code(context: Context) -> Any:
    code = context.code()
    return code if isinstance(code, grpc.StatusCode) else _BY_NUMBER.get(code, grpc.StatusCode.UNKNOWN)


_BY_NUMBER: dict[Any, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}


async def _refuse(call: Call, context: Context) -> None:
    """Sends what the boundary decided, or lets grpc.aio finish what the handler or the client ended."""
    error = call.error
    if isinstance(error, Aborted) and error.__cause__ is not None:
        raise error.__cause__  # grpc.aio insists on the very same exception
    if isinstance(error, asyncio.CancelledError):
        raise error
    known = error if isinstance(error, MeshError) else Internal("INTERNAL", "a link failed outside the error boundary")
    code, message, metadata = refusal(known)
    task = asyncio.current_task()
    if call.ended_by is not None and task is not None:
        task.uncancel()
    await context.abort(code, message, ((REQUEST_ID, call.request_id), *limit_headers(call), *metadata))
