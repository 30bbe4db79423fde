"""Dry runs (AIP-163): a transaction in which everything is done and checked, and of which nothing stays."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeVar

__all__ = ["kept"]

_Opened = TypeVar("_Opened")


@asynccontextmanager
async def kept(door: AbstractAsyncContextManager[_Opened], *, keep: bool) -> AsyncIterator[_Opened]:
    """Open the door. Without `keep` its transaction is undone when the block has ended, and the block may return what
    it would have stored."""
    try:
        async with door as opened:
            yield opened
            if not keep:
                raise _Undone
    except _Undone:
        pass


class _Undone(Exception):
    """Ends a transaction, so that nothing of it stays."""
