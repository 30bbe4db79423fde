"""A process of a stack, known by pid and creation time: a pid alone may be reused or belong to a zombie.

It also ends the process. The supervisor, its watchdog and the next run's recovery all use this.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import psutil

__all__ = ["StartedProcess", "find_process"]

_CLOCK_SLACK = 2.0  # seconds: the system computes creation times from a boot time that clock corrections move


@dataclass(frozen=True, slots=True)
class StartedProcess:
    """A process that was started, and how to end it.

    `signals` are sent in turn, each with its seconds to take effect; then SIGKILL, to the process and its group.
    """

    name: str
    pid: int
    create_time: float
    signals: tuple[tuple[int, float], ...] = ((signal.SIGTERM, 10.0),)

    def encode(self) -> dict[str, Any]:
        """Return the process as JSON can carry it."""
        return asdict(self)

    @classmethod
    def decode(cls, record: dict[str, Any]) -> StartedProcess:
        """Return the process that a record describes. Raises KeyError, TypeError or ValueError for any other record."""
        signals = tuple((int(number), float(seconds)) for number, seconds in record["signals"])
        return cls(str(record["name"]), int(record["pid"]), float(record["create_time"]), signals)

    def alive(self) -> bool:
        """Return whether the process runs. A zombie does not."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.create_time) < _CLOCK_SLACK
            return same and process.status() not in {psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD}
        except psutil.NoSuchProcess:
            return False

    def wait(self, seconds: float) -> bool:
        """Wait for the process to end, at most so many seconds. Returns False when it still runs."""
        deadline = time.monotonic() + seconds
        while self.alive():
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.01)
        return True

    def end(self) -> None:
        """End the process and the rest of its group. Returns once it has ended, or a second after SIGKILL."""
        self.end_softly()
        if self.alive():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(self.pid, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self.wait(1.0)

    def end_softly(self) -> None:
        """Send the signals in turn, until the process has ended."""
        for number, seconds in self.signals:
            if not self.alive():
                return
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(self.pid, number)
            self.wait(seconds)


def find_process(name: str, pid: int, signals: Sequence[tuple[int, float]]) -> StartedProcess:
    """Return the running process with this pid. Raises psutil.NoSuchProcess when there is none."""
    return StartedProcess(name, pid, psutil.Process(pid).create_time(), tuple((int(n), float(s)) for n, s in signals))
