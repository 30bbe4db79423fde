"""The errors of a stack: each has a sentence for a person, and most have a remedy."""

from __future__ import annotations

from pathlib import Path

__all__ = ["AlreadyRunningError", "PortTakenError", "StackError"]


class StackError(Exception):
    """A stack or a command can't do what was asked.

    `remedy` is one line that says what to do; `log` is the log with the details, where a program wrote one.
    """

    def __init__(self, message: str, *, remedy: str = "", log: Path | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.log = log

    def __str__(self) -> str:
        return " ".join(part for part in (self.message, self.remedy) if part)


class AlreadyRunningError(StackError):
    """Another process holds the state folder. `pid` is that process; `edge` its address, if it has one."""

    def __init__(self, state: Path, pid: int, edge: str) -> None:
        where = f", edge {edge}" if edge else ""
        super().__init__(
            f"already running here (pid {pid}{where}).",
            remedy=f"Stop it with Ctrl-C or `kill {pid}`, or use another state folder than {state}.",
        )
        self.pid = pid
        self.edge = edge


class PortTakenError(StackError):
    """Another process listens on a port that a part needs."""
