"""Messages of streams on grpc.aio, where links have something to do about each. Handlers may iterate and yield, or call
`context.read()` and `context.write()`: both pass through here."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any, TypeAlias

import grpc

from tenantmesh.interceptors.caller import CallerKind
from tenantmesh.interceptors.errors import MeshError
from tenantmesh.interceptors.link import CompiledChain, MessageGate
from tenantmesh.interceptors.metadata import TRANSCODED
from tenantmesh.interceptors.passage import Passage, current

__all__ = ["watching_messages"]

_Behavior: TypeAlias = Callable[[Any, Any], Awaitable[Any]]


def watching_messages(chain: CompiledChain, behavior: _Behavior) -> _Behavior:
    """Return the handler with the links' `read` and `write` around each message."""

    async def watched(request: Any, context: Any) -> Any:
        call = current.get()
        around = _Context(context, call, chain)
        try:
            return await behavior(around.messages(request) if chain.reads else request, around)
        except _EndTold:
            if call.stream is not None:
                call.stream.refusal = None  # the caller has it: the stream ends as any other
            return None

    return watched


class _EndTold(Exception):
    """Ends a handler whose caller over REST has been told by a last message why the stream ends."""


class _Context:
    """gRPC's context, with gates around messages."""

    def __init__(self, context: Any, call: Passage, chain: CompiledChain) -> None:
        self._context = context
        self._call = call
        self._reads = chain.reads
        self._writes = chain.writes
        self._sent = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    async def read(self) -> Any:
        """Return the next message, or grpc.aio.EOF."""
        message = await self._context.read()
        if message is not grpc.aio.EOF:
            await self._pass(self._reads, message)
        return message

    async def write(self, message: Any) -> None:
        """Send a message. Where a gate refuses it, tell why by another one, if the caller can't be told otherwise."""
        if not self._ending:
            try:
                await self._pass(self._writes, message)
            except MeshError as error:
                await self._tell(error)
        await self._context.write(message)
        self._sent = True

    @property
    def _ending(self) -> bool:
        """True when the next message tells why the stream ends: it costs nothing."""
        call = self._call
        return call.ended_by is not None or (call.watch is not None and call.watch.last)

    async def _tell(self, error: MeshError) -> None:
        """End the stream with a last message about the error. Raise the error where a status can tell it."""
        call = self._call
        if call.watch is None or not self._sent or TRANSCODED not in call.headers:
            raise error
        stranger = call.caller.kind is CallerKind.ANONYMOUS
        await self._context.write(call.watch.to_last(error.told_to_strangers() if stranger else error))
        raise _EndTold from error

    async def messages(self, received: AsyncIterator[Any]) -> AsyncIterator[Any]:
        """Yield the messages that the handler iterates over."""
        async for message in received:
            await self._pass(self._reads, message)
            yield message

    async def _pass(self, gates: Iterable[MessageGate], message: Any) -> None:
        for gate in gates:
            if (waiting := gate(self._call, message)) is not None:
                await waiting
