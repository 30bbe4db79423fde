"""Starts programs, remembers them on disk, and ends them: a stack's supervisor.

One supervisor holds a state folder at a time (flock). What it started is in `run.json` with pid and time of creation,
so that the next one can clear up after a crash; a watchdog process clears up at once when this one is killed.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import psutil

from tenantmesh.deploy.embedded.credentials import write_private
from tenantmesh.deploy.embedded.errors import AlreadyRunningError, EmbeddedError
from tenantmesh.deploy.embedded.identity import EngineUser
from tenantmesh.deploy.embedded.liveness import Identity, identity_of

__all__ = ["Child", "Holder", "Program", "Supervisor", "running"]

_INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_LOG_BYTES = 10 * 1024 * 1024  # a longer log is put aside at the next start, where it replaces the one before
GRACEFUL = ((int(signal.SIGTERM), 10.0),)


@dataclass(frozen=True, slots=True)
class Program:
    """What to start, as whom, and how it likes to be stopped."""

    name: str
    argv: tuple[str, ...]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    user: EngineUser | None = None
    folder: Path = Path("/")
    stdin: bytes = field(default=b"", repr=False)
    signals: tuple[tuple[int, float], ...] = GRACEFUL


@dataclass(frozen=True, slots=True)
class Child:
    """A program that runs, or ran."""

    program: Program
    popen: subprocess.Popen[bytes]
    identity: Identity

    def ended(self) -> bool:
        """Whether it has ended. Collects it, so that it is no zombie of ours."""
        return self.popen.poll() is not None

    def failure(self, what: str) -> EmbeddedError:
        """An error that says what happened and quotes the end of the log."""
        log = self.program.log
        return EmbeddedError(f"{self.program.name} {what}: {last_line(log)}", remedy=f"Details: {log}", log=log)


def last_line(log: Path) -> str:
    """The last line of a log that says anything; of a structured one, what happened and why."""
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


class Supervisor:
    """Owns a state folder's processes. `acquire` first, `close` at the end; nothing outlives it.

    `discard` names folders that are deleted with it, even when it is killed.
    """

    def __init__(self, state: Path, *, discard: tuple[Path, ...] = ()) -> None:
        self._state = state
        self._discard = discard
        self._children: list[Child] = []
        self._lock: IO[str] | None = None
        self._watchdog: subprocess.Popen[bytes] | None = None
        self._addresses: dict[str, str] = {}

    def acquire(self) -> list[str]:
        """Takes the state folder, and ends what a killed run left behind; the names of those processes are returned.

        Raises AlreadyRunningError when another supervisor holds it.
        """
        self._lock = _locked(self._state)
        left = [process for process in _recorded(self._state / "run.json") if process.alive()]
        for process in reversed(left):
            process.end()
        unclean = (self._state / "run.json").exists()
        self._start_watchdog()
        self._write_record()
        return [process.name for process in left] or (["no process, but its record"] if unclean else [])

    def announce(self, addresses: Mapping[str, str]) -> None:
        """Tells whoever asks (`running`) where the parts of the stack answer, by their names."""
        self._addresses = dict(addresses)
        self._write_record()

    def start(self, program: Program) -> Child:
        """Starts a program in a session of its own. Raises EmbeddedError when it can't be executed."""
        with _undisturbed():
            child = _spawn(program)
            self._children.append(child)
            self._tell({"started": child.identity.encode()})
            self._write_record()
        return child

    def stop(self, child: Child) -> None:
        """Ends a program and its group, with its own signals first. Safe to repeat."""
        child.identity.end()
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.popen.wait(5.0)  # collected at last: it is no zombie of ours
        self._forget(child)

    def ended(self) -> list[Child]:
        """The programs that ended though nobody stopped them; they are forgotten here."""
        gone = [child for child in self._children if child.ended()]
        for child in gone:
            self.stop(child)
        return gone

    def close(self) -> bool:
        """Stops everything, last started first, and gives the state folder back. Safe to repeat.

        False: the folder was not ours to give back.
        """
        for child in reversed(tuple(self._children)):
            self.stop(child)
        self._stop_watchdog()
        if self._lock is None:
            return False
        (self._state / "run.json").unlink(missing_ok=True)
        self._lock.close()
        self._lock = None
        return True

    def _forget(self, child: Child) -> None:
        if child in self._children:
            self._children.remove(child)
            self._tell({"stopped": child.identity.pid})
            self._write_record()

    def _start_watchdog(self) -> None:
        self._watchdog = subprocess.Popen(
            [sys.executable, "-P", "-m", "tenantmesh.deploy.embedded.watchdog"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        for folder in self._discard:
            self._tell({"discard": str(folder)})

    def _stop_watchdog(self) -> None:
        if self._watchdog and self._watchdog.stdin:
            with contextlib.suppress(BrokenPipeError):
                self._watchdog.stdin.close()
            self._watchdog.wait()
            self._watchdog = None

    def _tell(self, command: Mapping[str, object]) -> None:
        if self._watchdog and self._watchdog.stdin:
            self._watchdog.stdin.write(json.dumps(command).encode() + b"\n")
            self._watchdog.stdin.flush()

    def _write_record(self) -> None:
        record = {
            "pid": os.getpid(),
            "create_time": psutil.Process().create_time(),
            "addresses": self._addresses,
            "children": [child.identity.encode() for child in self._children],
        }
        write_private(self._state / "run.json", json.dumps(record, indent=1))


@dataclass(frozen=True, slots=True)
class Holder:
    """The supervisor that holds a state folder, and where the parts of its stack answer, by their names."""

    pid: int
    addresses: Mapping[str, str]


def running(state: Path) -> Holder | None:
    """Who holds the state folder. None: nothing runs there."""
    try:
        _locked(state).close()
    except AlreadyRunningError:
        return _holder(state)
    except OSError:
        return None
    return None


def _holder(state: Path) -> Holder:
    """What the holder's record says; pid 0 in the moment before there is one."""
    record = _record(state / "run.json")
    pid, addresses = record.get("pid"), record.get("addresses")
    return Holder(pid if isinstance(pid, int) else 0, addresses if isinstance(addresses, dict) else {})


def _locked(state: Path) -> IO[str]:
    lock = (state / "lock").open("a", encoding="utf-8")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        holder = _holder(state)
        raise AlreadyRunningError(state, holder.pid, holder.addresses.get("edge", "")) from None
    return lock


def _record(path: Path) -> dict[str, object]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _recorded(path: Path) -> Iterator[Identity]:
    children = _record(path).get("children")
    for child in children if isinstance(children, list) else []:
        with contextlib.suppress(KeyError, TypeError, ValueError):
            yield Identity.decode(child)


def _spawn(program: Program) -> Child:
    stdin = subprocess.PIPE if program.stdin else subprocess.DEVNULL
    if program.log.exists() and program.log.stat().st_size > _LOG_BYTES:
        program.log.replace(program.log.with_suffix(".old.log"))
    descriptor = os.open(program.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        popen = subprocess.Popen(
            program.argv,
            stdin=stdin,
            stdout=descriptor,
            stderr=descriptor,
            cwd=program.folder,
            env=dict(program.environment) or None,
            start_new_session=True,
            umask=0o077,
            **(program.user.popen() if program.user else {}),
        )
    except OSError as error:
        raise EmbeddedError(f"{program.name} can't be started: {error.strerror}: {error.filename}.") from error
    finally:
        os.close(descriptor)
    identity = identity_of(program.name, popen.pid, program.signals)
    if popen.stdin:
        with contextlib.suppress(BrokenPipeError):
            popen.stdin.write(program.stdin)
            popen.stdin.close()
    return Child(program, popen, identity)


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Lets Ctrl-C and its like wait until the block is done, so that no program starts without being on record.

    Signals are not blocked, since programs would inherit that. Outside the main thread nothing interrupts anyway.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    waiting: list[int] = []
    handlers = {number: signal.signal(number, lambda number, _: waiting.append(number)) for number in _INTERRUPTS}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for pending in waiting:
            signal.raise_signal(pending)
