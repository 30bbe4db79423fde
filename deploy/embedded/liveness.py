"""Which processes live, told by (pid, time of creation): a pid alone may be reused or be a zombie's.

Also how a process is ended. The supervisor, its watchdog and the next run's recovery all do it with this.
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

__all__ = ["Identity", "identity_of"]

_CLOCK_SLACK = 2.0  # seconds: the system computes creation times from a boot time that clock corrections move


@dataclass(frozen=True, slots=True)
class Identity:
    """A process that was started, and how to end it.

    `signals` are tried in turn, each given so many seconds; then comes SIGKILL, for the process and its group.
    """

    name: str
    pid: int
    create_time: float
    signals: tuple[tuple[int, float], ...] = ((signal.SIGTERM, 10.0),)

    def encode(self) -> dict[str, Any]:
        """The process as JSON can carry it."""
        return asdict(self)

    @classmethod
    def decode(cls, record: dict[str, Any]) -> Identity:
        """The process that a record describes. Raises KeyError, TypeError or ValueError when it describes none."""
        signals = tuple((int(number), float(seconds)) for number, seconds in record["signals"])
        return cls(str(record["name"]), int(record["pid"]), float(record["create_time"]), signals)

    def alive(self) -> bool:
        """Whether the process runs. One that has ended is dead even while nobody has collected it."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.create_time) < _CLOCK_SLACK
            return same and process.status() not in {psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD}
        except psutil.NoSuchProcess:
            return False

    def wait(self, seconds: float) -> bool:
        """Waits for the process to end, at most so long. False: it still runs."""
        deadline = time.monotonic() + seconds
        while self.alive():
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.01)
        return True

    def end(self) -> None:
        """Ends the process and what is left of its group. Returns when it is gone, or after SIGKILL and a second."""
        self.end_softly()
        if self.alive():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(self.pid, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self.wait(1.0)

    def end_softly(self) -> None:
        """Sends the signals in turn, until the process has ended."""
        for number, seconds in self.signals:
            if not self.alive():
                return
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(self.pid, number)
            self.wait(seconds)


def identity_of(name: str, pid: int, signals: Sequence[tuple[int, float]]) -> Identity:
    """The identity of a process that runs now. Raises psutil.NoSuchProcess when it does not."""
    return Identity(name, pid, psutil.Process(pid).create_time(), tuple((int(n), float(s)) for n, s in signals))
