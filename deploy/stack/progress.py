"""What a stack tells whoever starts it, while it happens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

__all__ = ["Progress", "Silence"]


class Progress(Protocol):
    """Somebody who follows a stack's start."""

    def step(self, part: str, detail: str) -> AbstractContextManager[None]:
        """Surrounds the start of a part; an exception means that it failed."""

    def note(self, text: str) -> None:
        """Something worth a line: leftovers ended, a part that is missing, a part started again."""


class Silence:
    """A follower that says nothing."""

    @contextmanager
    def step(self, part: str, detail: str) -> Iterator[None]:
        """Does nothing around the part."""
        del part, detail
        yield

    def note(self, text: str) -> None:
        """Says nothing."""
