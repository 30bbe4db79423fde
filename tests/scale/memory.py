"""The memory of a process while something happens, looked at from a thread."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Self

import psutil

__all__ = ["MEBIBYTE", "Peak", "resident"]

MEBIBYTE = 1024 * 1024
_LOOK_SECONDS = 0.01


def resident(pid: int) -> float:
    """Return the resident memory of a process in MiB."""
    return float(psutil.Process(pid).memory_info().rss) / MEBIBYTE


class Peak:
    """Holds the most memory that a process had inside of the block."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self.before = self.most = resident(pid)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    @property
    def figures(self) -> dict[str, float]:
        """The memory before and the most."""
        return {"before_mib": self.before, "most_mib": self.most}

    def _look(self) -> None:
        while not self._over.wait(_LOOK_SECONDS):
            self.most = max(self.most, resident(self._pid))
