"""A command that a supervisor starts, its process, and the failure that its log explains."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tenantmesh.deploy.stack.engine_user import EngineUser
from tenantmesh.deploy.stack.errors import StackError
from tenantmesh.deploy.stack.supervision.process import StartedProcess, find_process

__all__ = ["Child", "Command", "spawn"]

LOG_BYTES = 10 * 1024 * 1024
"""A longer log is put aside, where it replaces the one before: so a command has twice as much on disk at most."""
_LISTED = 20  # indented lines that a message repeats at most; the log has all
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
    cause: re.Pattern[str] | None = None
    """Finds the line of the log that says why the program ended. None: the last line does."""

    stdin: bytes = field(default=b"", repr=False)
    signals: tuple[tuple[int, float], ...] = _STOP_SIGNALS


@dataclass(frozen=True, slots=True)
class Child:
    """A command that runs, or ran."""

    command: Command
    popen: subprocess.Popen[bytes]
    process: StartedProcess
    logged_before: int = 0
    """The size of the log when the command was started."""

    def ended(self) -> bool:
        """Return whether it has ended. Collects its exit status, so that it does not stay a zombie."""
        return self.popen.poll() is not None

    def bound_log(self) -> None:
        """Put the log aside when it is too long, while the command goes on writing it."""
        log = self.command.log
        if log.exists() and log.stat().st_size > LOG_BYTES:
            with log.open("rb+") as written, os.fdopen(_private(_aside(log)), "wb") as old:
                # Again until nothing more came: what is written between copy and cut is lost.
                while block := written.read(LOG_BYTES):
                    old.write(block)
                written.truncate(0)  # the command appends, so it goes on at the beginning

    def failure(self, what: str) -> StackError:
        """Return an error that says what happened and quotes the line of the log that says why."""
        log = self.command.log
        why = _why(log, self.logged_before, self.command.cause)
        return StackError(f"{self.command.name} {what}: {why}", remedy=f"Details: {log}", log=log)


def spawn(command: Command) -> Child:
    """Start a command in a session of its own. Raises StackError when it can't be executed."""
    _turn_over(command.log)
    logged_before = command.log.stat().st_size if command.log.exists() else 0
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
    return Child(command, popen, process, logged_before)


def _why(log: Path, begin: int, cause: re.Pattern[str] | None) -> str:
    """Return the line of this run's log that says why it ended: the first that `cause` finds, else the last. A log that
    is shorter than it was has been put aside since.

    Of a structured line, its event and reason. Indented lines belong to the one above them: a list of wrong settings.
    """
    try:
        whole = log.read_bytes()
        written = whole[begin if len(whole) >= begin else 0 :].decode("utf-8", errors="replace")
    except OSError:
        return "it left no log"
    lines = [line.rstrip() for line in written.split("\n") if line.strip()]
    causes = filter(None, map(cause.search, lines)) if cause else iter(())
    found = next(causes, None)
    if found:
        return found[0]
    return _last(lines) if lines else "its log is empty"


def _last(lines: Sequence[str]) -> str:
    """Return the last line. With indented lines at the end, return the line above them and all of them."""
    above = next((index for index in reversed(range(len(lines))) if not lines[index][0].isspace()), 0)
    listed = "; ".join(line.strip() for line in lines[above + 1 :][:_LISTED])
    return " ".join(filter(None, (_in_words(lines[above].strip()), listed)))


def _in_words(line: str) -> str:
    """Return a line of a log for people; of a structured one, its event and reason."""
    try:
        entry = json.loads(line)
        return ": ".join(str(entry[key]) for key in ("event", "reason") if key in entry) or line
    except (ValueError, TypeError):
        return line


def _turn_over(log: Path) -> None:
    if log.exists() and log.stat().st_size > LOG_BYTES:
        log.replace(_aside(log))


def _aside(log: Path) -> Path:
    return log.with_suffix(".old.log")


def _private(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
