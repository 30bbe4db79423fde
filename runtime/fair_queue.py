"""A queue that serves its lanes in turn, so that a lane with many entries delays the others by one turn each.

What a lane is, only the caller knows: any key will do. A lane has lines of its own, which are served in turn as well.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

__all__ = ["FairQueue"]

_Entry = TypeVar("_Entry", bound=Hashable)
_Line = OrderedDict[_Entry, None]
"""The entries of a line, oldest first. A dictionary, since an entry may leave from anywhere."""


class _Lane(Generic[_Entry]):
    __slots__ = ("lines", "size")

    def __init__(self) -> None:
        self.lines: OrderedDict[Hashable, _Line[_Entry]] = OrderedDict()
        self.size = 0


class FairQueue(Generic[_Entry]):
    """Entries by lane and line, at most `places` in all and `lane_places` in a lane.

    When an entry is too many, the newest of the longest line loses its place: of this lane when the lane is full, of
    the longest lane when the whole queue is. So an entry of a short line never loses its place for a longer one.
    """

    def __init__(self, *, places: int, lane_places: int) -> None:
        self._places = places
        self._lane_places = lane_places
        self._lanes: OrderedDict[Hashable, _Lane[_Entry]] = OrderedDict()
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def add(self, entry: _Entry, lane: Hashable, line: Hashable = None) -> _Entry | None:
        """Add the entry. Return the one that loses its place for it, perhaps itself; None when there was room."""
        joined = self._lanes.get(lane)
        if joined is None:
            joined = self._lanes[lane] = _Lane()
        joined.lines.setdefault(line, OrderedDict())[entry] = None
        joined.size += 1
        self._size += 1
        if joined.size > self._lane_places:
            return self._without_newest(lane, line)
        if self._size > self._places:
            return self._without_newest(self._longest_lane(lane), line)
        return None

    def pop(self, may_go: Callable[[Hashable], bool] = lambda _lane: True) -> tuple[Hashable, _Entry] | None:
        """Remove the entry whose turn it is, and return its lane and the entry. None when no lane may go."""
        for lane in self._lanes:
            if may_go(lane):
                return lane, self._pop_from(lane)
        return None

    def discard(self, entry: _Entry, lane: Hashable, line: Hashable = None) -> None:
        """Remove the entry if it waits."""
        left = self._lanes.get(lane)
        entries = left.lines.get(line) if left else None
        if left is None or entries is None or entry not in entries:
            return
        del entries[entry]
        if not entries:
            del left.lines[line]
        left.size -= 1
        self._size -= 1
        if not left.size:
            del self._lanes[lane]

    def _pop_from(self, lane: Hashable) -> _Entry:
        """Remove the oldest entry of the line whose turn it is. Lane and line go to the end."""
        lines = self._lanes[lane].lines
        line = next(iter(lines))
        entry = next(iter(lines[line]))
        lines.move_to_end(line)
        self._lanes.move_to_end(lane)
        self.discard(entry, lane, line)
        return entry

    def _longest_lane(self, joined: Hashable) -> Hashable:
        return max(self._lanes, key=lambda lane: (self._lanes[lane].size, lane == joined))

    def _without_newest(self, lane: Hashable, joined: Hashable) -> _Entry:
        lines = self._lanes[lane].lines
        line = max(lines, key=lambda line: (len(lines[line]), line == joined))
        newest = next(reversed(lines[line]))
        self.discard(newest, lane, line)
        return newest
