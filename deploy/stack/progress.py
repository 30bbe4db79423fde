"""Reports the start of a stack, part by part."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

__all__ = ["Progress", "Silence"]


class Progress(Protocol):
    """Receives the steps of a stack's start."""

    def step(self, part: str, detail: str) -> AbstractContextManager[None]:
        """Surround the start of a part; an exception means that it failed."""

    def note(self, text: str) -> None:
        """Take a line about the start: leftovers ended, a part that is missing, a part started again."""


class Silence:
    """Receives the steps and prints nothing."""

    @contextmanager
    def step(self, part: str, detail: str) -> Iterator[None]:
        """Do nothing around the part."""
        del part, detail
        yield

    def note(self, text: str) -> None:
        """Print nothing."""
