"""Messages of streams on grpc.aio, where links have something to do about each. Handlers may iterate and yield, or call
`context.read()` and `context.write()`: both pass through here."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any, TypeAlias

import grpc

from tenantmesh.interceptors.link import CompiledChain, MessageGate
from tenantmesh.interceptors.passage import Passage, current

__all__ = ["watching_messages"]

_Behavior: TypeAlias = Callable[[Any, Any], Awaitable[Any]]


def watching_messages(chain: CompiledChain, behavior: _Behavior) -> _Behavior:
    """Return the handler with the links' `read` and `write` around each message."""

    async def watched(request: Any, context: Any) -> Any:
        around = _Context(context, current.get(), chain)
        return await behavior(around.messages(request) if chain.reads else request, around)

    return watched


class _Context:
    """gRPC's context, with gates around messages."""

    def __init__(self, context: Any, call: Passage, chain: CompiledChain) -> None:
        self._context = context
        self._call = call
        self._reads = chain.reads
        self._writes = chain.writes

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    async def read(self) -> Any:
        """Return the next message, or grpc.aio.EOF."""
        message = await self._context.read()
        if message is not grpc.aio.EOF:
            await self._pass(self._reads, message)
        return message

    async def write(self, message: Any) -> None:
        """Send a message."""
        await self._pass(self._writes, message)
        await self._context.write(message)

    async def messages(self, received: AsyncIterator[Any]) -> AsyncIterator[Any]:
        """Yield the messages that the handler iterates over."""
        async for message in received:
            await self._pass(self._reads, message)
            yield message

    async def _pass(self, gates: Iterable[MessageGate], message: Any) -> None:
        for gate in gates:
            if (waiting := gate(self._call, message)) is not None:
                await waiting
