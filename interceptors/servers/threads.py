"""The same for the thread-pool `grpc.server`. Where a link must wait, its coroutine runs on the chain's own loop, in a
thread beside the pool; the fast path never goes there."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Self

import grpc

from tenantmesh.interceptors.call import Call, current_call, enter_call
from tenantmesh.interceptors.errors import DeadlineExceeded, Internal, MeshError
from tenantmesh.interceptors.link import CompiledChain, Pending, leave_all
from tenantmesh.interceptors.links.error_boundary import Aborted
from tenantmesh.interceptors.metadata import REQUEST_ID
from tenantmesh.interceptors.servers.handlers import Handler, Parse, answered, malformed, parsed, refusing
from tenantmesh.interceptors.servers.limit_headers import limit_headers, runs_short, tell_limits
from tenantmesh.interceptors.servers.status import refusal
from tenantmesh.interceptors.servers.watchdog import ThreadWatchdog

if TYPE_CHECKING:
    from tenantmesh.interceptors.chain import Chain

__all__ = ["LoopThread", "ThreadInterceptor"]

LONGEST_WAIT = 10.0
"""Seconds that a pool thread waits for a link at most, whatever the call's deadline."""


class LoopThread:
    """An event loop in a daemon thread, for the ports that are asynchronous by nature."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="tenantmesh-chain", daemon=True)
        self._thread.start()

    def wait(self, coroutine: Coroutine[Any, Any, Any], timeout: float | None = None) -> Any:
        """The coroutine's result. Raises DeadlineExceeded when it takes longer than `timeout` seconds."""
        future = asyncio.run_coroutine_threadsafe(coroutine, self.loop)
        try:
            return future.result(timeout)
        except TimeoutError as error:
            future.cancel()
            raise DeadlineExceeded("DEADLINE_EXCEEDED", "The call took longer than it may. Retry.") from error

    def close(self) -> None:
        """Stops the loop and its thread."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


class ThreadInterceptor(grpc.ServerInterceptor):
    """See the module. `close()` it when the server has stopped, or use it as a context manager."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._handlers: dict[str, Handler] = {}
        self._read_timeout = chain.settings.read_timeout
        self._loop = LoopThread()
        self._watchdog = ThreadWatchdog(self._loop.loop)
        self._loop.wait(chain.start())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stops what following tenants began, the watchdog and the loop."""
        self._watchdog.close()
        self._loop.wait(self._chain.close())
        self._loop.close()

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Handler | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """Returns the method's wrapped handler; None for an unknown method, as gRPC expects."""
        method: str = handler_call_details.method
        wrapped = self._handlers.get(method)
        if wrapped is None:
            handler = continuation(handler_call_details)
            if handler is None:
                return None
            compiled = self._chain.compiled(method) or self._chain.denying(method)
            wrapped = self._handlers[method] = self._wrap(compiled, handler)
        return wrapped

    def _wrap(self, chain: CompiledChain, handler: Handler) -> Handler:
        """The handler with the links around it. Every one is request-streaming to grpc.server, which then calls it
        before the body is there; and messages are parsed here, since grpc.server loses a pool thread for good when it
        can't parse one of a stream."""
        parse, serialize = handler.request_deserializer, handler.response_serializer
        if handler.response_streaming:
            behavior = handler.stream_stream if handler.request_streaming else handler.unary_stream
            behavior = self._writing(chain, behavior)
            streaming = self._streaming(chain, *self._reading(chain, handler, behavior, parse))
            return grpc.stream_stream_rpc_method_handler(streaming, None, serialize)
        behavior = handler.stream_unary if handler.request_streaming else handler.unary_unary
        unary = self._unary(chain, *self._reading(chain, handler, behavior, parse), serialize)
        return grpc.stream_unary_rpc_method_handler(unary, None, None)

    def _unary(self, chain: CompiledChain, behavior: Any, parse: Parse | None, serialize: Any) -> Any:
        policy, admit, unwind, calls = chain.policy, self._admit, chain.unwind, self._watchdog.calls

        def handle(request: Any, context: Any) -> Any:
            call = Call(policy, context.invocation_metadata())
            try:
                message = admit(chain, call, request, parse, context)
                answer = serialize(answered(call, behavior(message, context)))
                if runs_short(call):
                    tell_limits(call, context)
                call.code = context.code() or grpc.StatusCode.OK
            except Exception as error:  # the error boundary decides
                call.error = _outcome(error, context)
            finally:
                calls.pop(call, None)
                leave_all(unwind[call.entered], call)
            if call.error is not None:
                _refuse(call, context)
            return answer

        return handle

    def _streaming(self, chain: CompiledChain, behavior: Any, parse: Parse | None) -> Any:
        policy, admit, unwind, calls = chain.policy, self._admit, chain.unwind, self._watchdog.calls

        def handle(request: Any, context: Any) -> Iterator[Any]:
            call = Call(policy, context.invocation_metadata())
            try:
                yield from behavior(admit(chain, call, request, parse, context), context)
                if runs_short(call):
                    tell_limits(call, context)
                call.code = context.code() or grpc.StatusCode.OK
            except (Exception, GeneratorExit) as error:
                call.error = _outcome(error, context)
            finally:
                calls.pop(call, None)
                leave_all(unwind[call.entered], call)
            if call.error is not None:
                _refuse(call, context)

        return handle

    def _admit(self, chain: CompiledChain, call: Call, request: Any, parse: Parse | None, context: Any) -> Any:
        """Passes the gates, in two steps with the parsing between them, and returns the request."""
        call.context = context
        call.blocks = self._wait
        self._watchdog.calls[call] = context.cancel
        enter_call(call)
        entered = 0
        for enter in chain.enters:
            if (pending := enter(call)) is not None:
                self._wait(call, pending)
            call.entered = entered = entered + 1
        if parse is None:
            return request
        message = self._read(call, request, parse)
        for receive in chain.receives:
            if (pending := receive(call, message)) is not None:
                self._wait(call, pending)
        return message

    def _read(self, call: Call, bodies: Iterator[bytes], parse: Parse) -> Any:
        """The one message of a unary request, within the read timeout."""
        limit = call.cancel_at
        call.cancel_at = min(limit, time.monotonic() + self._read_timeout)
        body = next(bodies, None)
        call.cancel_at = limit
        if body is None:
            raise malformed()
        return parsed(parse, body)

    def _reading(
        self, chain: CompiledChain, handler: Handler, behavior: Any, parse: Parse | None
    ) -> tuple[Any, Parse | None]:
        """The behavior, and how to parse its one request; None where it reads a stream, which is parsed as it reads."""
        if not handler.request_streaming:
            return behavior, parse
        read = refusing(parse)
        if not chain.reads:
            return (behavior if read is None else lambda bodies, context: behavior(map(read, bodies), context)), None

        def messages(call: Call, bodies: Iterator[Any]) -> Iterator[Any]:
            for body in bodies:
                message = body if read is None else read(body)
                self._pass(chain.reads, call, message)
                yield message

        return (lambda bodies, context: behavior(messages(current_call(), bodies), context)), None

    def _writing(self, chain: CompiledChain, behavior: Any) -> Any:
        """The behavior of a stream of answers, with what links do about each."""
        if not chain.writes:
            return behavior

        def answers(request: Any, context: Any) -> Iterator[Any]:
            for message in behavior(request, context):
                self._pass(chain.writes, current_call(), message)
                yield message

        return answers

    def _pass(self, moments: Iterable[Callable[[Call, Any], Pending]], call: Call, message: Any) -> None:
        for moment in moments:
            if (pending := moment(call, message)) is not None:
                self._wait(call, pending)

    def _wait(self, call: Call, pending: Coroutine[Any, Any, None]) -> None:
        remaining = call.time_remaining()
        self._loop.wait(pending, LONGEST_WAIT if remaining is None else min(remaining, LONGEST_WAIT))


def _outcome(error: BaseException, context: Any) -> BaseException:
    # `context.abort` raises a bare Exception after it has set the code.
    if type(error) is Exception and not error.args and context.code() is not None:
        return Aborted(context.code())
    # What reading or writing raises once the client is gone.
    if isinstance(error, grpc.RpcError) and not context.is_active():
        cancelled = asyncio.CancelledError()
        cancelled.__cause__ = error
        return cancelled
    return error


def _refuse(call: Call, context: Any) -> None:
    error = call.error
    if isinstance(error, GeneratorExit | asyncio.CancelledError):
        raise error.__cause__ or error  # the client is gone; gRPC knows its own exception
    if isinstance(error, Aborted):
        raise Exception  # gRPC's own way of leaving an aborted handler
    known = error if isinstance(error, MeshError) else Internal("INTERNAL", "a link failed outside the error boundary")
    code, message, metadata = refusal(known)
    context.set_trailing_metadata(((REQUEST_ID, call.request_id), *limit_headers(call), *metadata))
    context.abort(code, message)
