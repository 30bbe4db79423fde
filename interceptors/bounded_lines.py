"""Bounds the log lines that callers cause: the first of each reason and address are written, the others counted.

At the end of an interval a line for each reason and address says how many were left out. So does `flush`, which the
chain calls when it closes. A process that is killed loses the counts of one interval.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from tenantmesh.interceptors.addresses import network_of

__all__ = ["BoundedLines", "LineBound"]

OTHERS = "others"
"""In place of an address, where as many are told apart as may be."""


@dataclass(frozen=True, slots=True)
class LineBound:
    """The bound of log lines about refusals.

    lines: lines of one reason and address that are written in an interval.
    interval: seconds.
    addresses: pairs of reason and address that are told apart in an interval; all others count by reason.
    """

    lines: int = 10
    interval: float = 30.0
    addresses: int = 256


_Key: TypeAlias = tuple[logging.Logger, int, str, str]
"""Logger, level, reason, network."""


class BoundedLines:
    """Says of each line whether to write it, and writes how many were left out. Safe to use from any thread."""

    def __init__(self, bound: LineBound | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._bound = bound or LineBound()
        self._clock = clock
        self._counts: dict[_Key, int] = {}
        self._ends_at = -float("inf")
        self._timer: threading.Timer | None = None
        self._lock = threading.Lock()
        self.left_out: dict[str, int] = {}
        """Lines that were not written since the process started, by logger."""

    def admit(self, logger: logging.Logger, level: int, reason: str, address: str) -> bool:
        """Return whether to write a line about this reason and address now. Count it otherwise."""
        if self._clock() >= self._ends_at:
            self._begin()
        with self._lock:
            key = self._key(logger, level, reason, network_of(address))
            count = self._counts[key] = self._counts.get(key, 0) + 1
            if count <= self._bound.lines:
                return True
            self.left_out[logger.name] = self.left_out.get(logger.name, 0) + 1
            if self._timer is None:
                self._timer = threading.Timer(max(0.0, self._ends_at - self._clock()), self.flush)
                self._timer.daemon = True
                self._timer.start()
        return False

    def flush(self) -> None:
        """End the interval: write the counts of the lines that were left out."""
        with self._lock:
            counts, self._counts, self._ends_at = self._counts, {}, -float("inf")
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
        for (logger, level, reason, network), count in counts.items():
            if (left_out := count - self._bound.lines) > 0:
                known = {"reason": reason, "peer": network, "left_out": left_out}
                logger.log(level, "lines left out", extra=known)

    def _begin(self) -> None:
        self.flush()
        with self._lock:
            self._ends_at = self._clock() + self._bound.interval

    def _key(self, logger: logging.Logger, level: int, reason: str, network: str) -> _Key:
        """Return the key of a line. Reasons are few and ours; addresses are as many as strangers have."""
        key = logger, level, reason, network
        if key in self._counts or len(self._counts) < self._bound.addresses:
            return key
        return logger, level, reason, OTHERS
