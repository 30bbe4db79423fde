"""The changes that came while look-ups were under way: an answer that may be older than one must not be kept."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

__all__ = ["Journal"]


class Journal:
    """Tells of a look-up whether something that its answer says has changed since it was begun.

    An answer may concern more than its key: a name leads to a tenant, and a change of that tenant need not mention the
    name, as when it was taken away. Keeps only what came since the oldest look-up under way was begun.
    """

    def __init__(self) -> None:
        self._count = 0
        self._everything = 0
        """The number of the last change that concerned everything."""
        self._changed: dict[Hashable, int] = {}
        """The number of the last change of each slot, in their order."""
        self._begun: dict[Hashable, int] = {}
        """The look-ups under way, and the number of the last change when each was begun, in their order."""

    def __len__(self) -> int:
        return len(self._changed)

    def begin(self, lookup: Hashable) -> None:
        """Begin a look-up, or begin it anew."""
        self._begun.pop(lookup, None)
        self._begun[lookup] = self._count

    def end(self, lookup: Hashable) -> None:
        """End the look-up, and drop the changes that no other one needs."""
        del self._begun[lookup]
        oldest = next(iter(self._begun.values()), self._count)
        while self._changed and (first := next(iter(self._changed.items())))[1] <= oldest:
            del self._changed[first[0]]

    def add(self, slots: Iterable[Hashable]) -> None:
        """Add a change of these slots."""
        if not self._begun:
            return
        self._count += 1
        for slot in slots:
            self._changed.pop(slot, None)
            self._changed[slot] = self._count

    def add_everything(self) -> None:
        """Add a change of everything."""
        self._count += 1
        self._everything = self._count

    def overtook(self, lookup: Hashable, slots: Iterable[Hashable]) -> bool:
        """Return whether one of the slots has changed since the look-up was begun."""
        begun = self._begun[lookup]
        return self._everything > begun or any(self._changed.get(slot, 0) > begun for slot in slots)
