"""Bounds of calls in flight as data, and the count of the calls in flight in this process."""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, Protocol, TypeAlias

__all__ = [
    "CALLS",
    "DEFAULT_CONCURRENCY",
    "PROCESS",
    "WATCHES",
    "CallsInFlight",
    "Concurrency",
    "Lane",
    "LaneScope",
    "parse_concurrency",
]

CALLS, WATCHES = "calls", "watches"
"""The classes of methods whose policy names none: with one answer, and with a stream of answers."""


@dataclass(frozen=True, slots=True)
class Concurrency:
    """How many calls of a class may be in flight in one process.

    per_tenant: calls of one tenant; of one service for one tenant; and of one address without a credential.
    overall: calls of all callers.
    reserve: the part of `overall` that only services and operators get, half of it only operators.
    """

    per_tenant: int
    overall: int
    reserve: int

    def __post_init__(self) -> None:
        if self.per_tenant < 1 or self.reserve < 0 or self.overall <= self.reserve:
            raise ValueError(f"per_tenant must be above zero, and overall above the reserve: {self}")


DEFAULT_CONCURRENCY: Mapping[str, Concurrency] = MappingProxyType(
    {CALLS: Concurrency(32, 256, 64), WATCHES: Concurrency(32, 2048, 256)}
)
"""The bounds by concurrency class."""
_PARTS = 3


def parse_concurrency(text: str) -> dict[str, Concurrency]:
    """Return the default bounds, replaced by those in the text: `calls=32/256/64` is the calls in flight of one tenant,
    those of all callers, and how many of these are kept for services and operators. Raises ValueError that says what is
    wrong."""
    bounds = dict(DEFAULT_CONCURRENCY)
    for entry in filter(None, (part.strip() for part in text.split(","))):
        name, _, numbers = entry.partition("=")
        parts = numbers.split("/")
        if not name or len(parts) != _PARTS or not all(part.isdecimal() for part in parts):
            raise ValueError(
                f"write a bound as name=per_tenant/overall/reserve, such as calls=32/256/64; got {entry!r}"
            )
        bounds[name] = Concurrency(*map(int, parts))
    return bounds


Lane: TypeAlias = int | str | tuple[int, str]
"""The calls that count together: of a tenant, by its id; of a network, by its address; of a service acting for a
tenant, by the tenant's id and the service's name; of callers without a credential who name a tenant, by its id and an
empty name."""
PROCESS: Lane = "process"
"""The lane of all calls; no network has this name."""
LaneScope = Literal["tenant", "service", "peer", "process"]
"""The owner of the bound that refused a call."""


class InLanes(Protocol):
    """A call that counts as in flight."""

    lanes: tuple[Lane, ...]


class CallsInFlight:
    """Counts the calls in flight of one class. Holds an entry per lane with calls, so memory is bounded by them.

    Safe to use from any thread: the thread-pool server enters and leaves calls in its own threads.
    """

    def __init__(self, name: str, bound: Concurrency) -> None:
        self.name = name
        self.bound = bound
        self.number = 0
        """Calls in flight now."""
        self.refused: dict[LaneScope, int] = {"tenant": 0, "service": 0, "peer": 0, "process": 0}
        self._lanes: dict[Lane, int] = {}
        self._per_lane = bound.per_tenant
        # Not `with`: these two calls are made twice for each call served, and cost half of it.
        lock = threading.Lock()
        self._acquire, self._release = lock.acquire, lock.release

    def take(self, lanes: tuple[Lane, ...], most: int, calls: int = 1) -> Lane | None:
        """Count a call in all its lanes. Returns None; or the lane that is full, or PROCESS where `most` calls of all
        are in flight already: then nothing is counted. `calls` is 0 for one that is counted already, in other lanes."""
        held, bound = self._lanes, self._per_lane
        self._acquire()
        try:
            if self.number >= most:
                return PROCESS
            for lane in lanes:
                if held.get(lane, 0) >= bound:
                    return lane
            for lane in lanes:
                held[lane] = held.get(lane, 0) + 1
            self.number += calls
        finally:
            self._release()
        return None

    def join(self, lanes: tuple[Lane, ...]) -> Lane | None:
        """Count a call that was taken in more lanes. Returns None, or the lane that is full: then it is in none."""
        return self.take(lanes, sys.maxsize, 0)

    def leave(self, call: InLanes) -> None:
        """Count a call no longer."""
        held = self._lanes
        self._acquire()
        try:
            self.number -= 1
            for lane in call.lanes:
                left = held[lane] - 1
                if left:
                    held[lane] = left
                else:
                    del held[lane]
        finally:
            self._release()
