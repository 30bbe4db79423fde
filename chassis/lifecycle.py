"""The parts of a process in one list: started in its order, closed in reverse."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack

from tenantmesh.chassis.background import Background

__all__ = ["Entered", "Lifecycle", "Part"]


class Part:
    """A part of a process that has no start of its own, or no close, given by its functions."""

    def __init__(
        self,
        *,
        start: Callable[[], Awaitable[object]] | None = None,
        close: Callable[[], Awaitable[object]] | None = None,
    ) -> None:
        self._start = start
        self._close = close

    async def start(self) -> None:
        """Start it, where that means something."""
        if self._start is not None:
            await self._start()

    async def close(self) -> None:
        """Close it, where that means something."""
        if self._close is not None:
            await self._close()


class Entered:
    """A part that is an asynchronous context manager: entered by the start, left by the close."""

    def __init__(self, manager: AbstractAsyncContextManager[object]) -> None:
        self._manager = manager
        self._opened = AsyncExitStack()

    async def start(self) -> None:
        """Enter it."""
        await self._opened.enter_async_context(self._manager)

    async def close(self) -> None:
        """Leave it, if it was entered."""
        await self._opened.aclose()


class Lifecycle:
    """Starts and closes the parts of a process. A part comes after what it needs while it starts, runs or closes."""

    def __init__(self, parts: Sequence[Background]) -> None:
        self._parts = tuple(parts)

    async def start(self) -> None:
        """Start every part in order. Raises what the first part raises that can't start: do not serve, and close."""
        for part in self._parts:
            await part.start()

    async def close(self) -> None:
        """Close every part in reverse, also those that were never started. One that fails keeps no other open."""
        async with AsyncExitStack() as closing:
            for part in self._parts:
                closing.push_async_callback(part.close)
