"""The port of the directories of tenants and of entitlements: caches that answer from memory where they can."""

from __future__ import annotations

from typing import Final, Protocol, TypeVar

__all__ = ["MISS", "Lookup", "Miss"]


class Miss:
    """The type of MISS."""


MISS: Final = Miss()
"""Not in memory: `find` has to be awaited."""

K_contra = TypeVar("K_contra", contravariant=True)
V_co = TypeVar("V_co", covariant=True)


class Lookup(Protocol[K_contra, V_co]):
    """Finds records by key."""

    @property
    def live(self) -> bool:
        """Must be True only while every answer from memory is up to date."""
        ...

    def peek(self, key: K_contra) -> V_co | Miss | None:
        """Must answer from memory: the record, None when there is none, or MISS when `find` must be awaited."""
        ...

    async def find(self, key: K_contra) -> V_co | None:
        """Must return the record, or None when there is none. Must raise Unavailable when that can't be found out."""
        ...

    async def start(self) -> None:
        """Must return at once and begin to follow changes in the background. Called on the loop that serves."""
        ...

    async def close(self) -> None:
        """Must end what `start` began."""
        ...
