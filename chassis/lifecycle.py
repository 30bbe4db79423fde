"""The parts of a process in one list: started in its order, closed in reverse."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack

from tenantmesh.chassis.background import Background

__all__ = ["Entered", "Lifecycle", "Part"]


class Part:
    """A part of a process that is made of a function to start it, a function to close it, or both."""

    def __init__(
        self,
        *,
        start: Callable[[], Awaitable[object]] | None = None,
        close: Callable[[], Awaitable[object]] | None = None,
    ) -> None:
        self._start = start
        self._close = close

    async def start(self) -> None:
        """Call the start function, if the part has one."""
        if self._start is not None:
            await self._start()

    async def close(self) -> None:
        """Call the close function, if the part has one."""
        if self._close is not None:
            await self._close()


class Entered:
    """A part that is an asynchronous context manager: the start makes and enters it, the close exits it."""

    def __init__(self, manager: Callable[[], AbstractAsyncContextManager[object]]) -> None:
        self._manager = manager
        self._opened = AsyncExitStack()

    async def start(self) -> None:
        """Make the context manager and enter it."""
        await self._opened.enter_async_context(self._manager())

    async def close(self) -> None:
        """Exit the context manager, if it was entered."""
        await self._opened.aclose()


class Lifecycle:
    """The start and the close of a process. List a part after the parts that it needs to start, run or close."""

    def __init__(self, parts: Sequence[Background]) -> None:
        self._parts = tuple(parts)

    async def start(self) -> None:
        """Start every part in order. Raises the error of the first part that fails: then close, and do not serve."""
        for part in self._parts:
            await part.start()

    async def close(self) -> None:
        """Close every part in reverse, even those that were never started and those after a part that fails."""
        async with AsyncExitStack() as closing:
            for part in self._parts:
                closing.push_async_callback(part.close)
