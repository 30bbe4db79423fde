"""A command that a supervisor starts, its process, and the failure that its log explains."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tenantmesh.deploy.stack.engine_user import EngineUser
from tenantmesh.deploy.stack.errors import StackError
from tenantmesh.deploy.stack.supervision.process import StartedProcess, find_process

__all__ = ["Child", "Command", "spawn"]

_LOG_BYTES = 10 * 1024 * 1024  # a longer log is put aside at the next start, where it replaces the one before
_STOP_SIGNALS = ((int(signal.SIGTERM), 10.0),)


@dataclass(frozen=True, slots=True)
class Command:
    """A program to start: its arguments, log, user and folder, and the signals that stop it, with seconds for each."""

    name: str
    argv: tuple[str, ...]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    user: EngineUser | None = None
    folder: Path = Path("/")
    stdin: bytes = field(default=b"", repr=False)
    signals: tuple[tuple[int, float], ...] = _STOP_SIGNALS


@dataclass(frozen=True, slots=True)
class Child:
    """A command that runs, or ran."""

    command: Command
    popen: subprocess.Popen[bytes]
    process: StartedProcess

    def ended(self) -> bool:
        """Return whether it has ended. Collects its exit status, so that it does not stay a zombie."""
        return self.popen.poll() is not None

    def failure(self, what: str) -> StackError:
        """Return an error that says what happened and quotes the end of the log."""
        log = self.command.log
        return StackError(f"{self.command.name} {what}: {last_line(log)}", remedy=f"Details: {log}", log=log)


def spawn(command: Command) -> Child:
    """Start a command in a session of its own. Raises StackError when it can't be executed."""
    _turn_over(command.log)
    descriptor = os.open(command.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        popen = subprocess.Popen(
            command.argv,
            stdin=subprocess.PIPE if command.stdin else subprocess.DEVNULL,
            stdout=descriptor,
            stderr=descriptor,
            cwd=command.folder,
            env=dict(command.environment) or None,
            start_new_session=True,
            umask=0o077,
            **(command.user.popen() if command.user else {}),
        )
    except OSError as error:
        raise StackError(f"{command.name} can't be started: {error.strerror}: {error.filename}.") from error
    finally:
        os.close(descriptor)
    process = find_process(command.name, popen.pid, command.signals)
    if popen.stdin:
        with contextlib.suppress(BrokenPipeError):
            popen.stdin.write(command.stdin)
            popen.stdin.close()
    return Child(command, popen, process)


def last_line(log: Path) -> str:
    """Return the last line of a log that is not blank; of a structured line, its event and reason."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError:
        return "it left no log"
    last = next((line.strip() for line in reversed(lines) if line.strip()), "its log is empty")
    try:
        entry = json.loads(last)
        return ": ".join(str(entry[key]) for key in ("event", "reason") if key in entry) or last
    except (ValueError, TypeError):
        return last


def _turn_over(log: Path) -> None:
    if log.exists() and log.stat().st_size > _LOG_BYTES:
        log.replace(log.with_suffix(".old.log"))
