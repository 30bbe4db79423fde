"""Starts commands, records them on disk, and ends them: a stack's supervisor.

One supervisor holds a state folder at a time (flock). The record holds the pid and creation time of each process, so
that the next supervisor can end what a crash left. A watchdog process ends it at once when this one is killed. When the
watchdog is killed, `renew_watchdog` starts another.
"""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

import psutil

from tenantmesh.deploy.stack.supervision.command import Child, Command, spawn
from tenantmesh.deploy.stack.supervision.process import StartedProcess, find_process
from tenantmesh.deploy.stack.supervision.record import lock, record_of, recorded, write_record

__all__ = ["Supervisor"]

_INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_COLLECT_SECONDS = 5.0


class Supervisor:
    """Owns a state folder's processes. Call `acquire` first and `close` at the end; no process outlives it.

    `discard` names folders that are deleted with it, even when it is killed.
    """

    def __init__(self, state: Path, *, discard: tuple[Path, ...] = ()) -> None:
        self._state = state
        self._discard = discard
        self._children: list[Child] = []
        self._lock: IO[str] | None = None
        self._watchdog: subprocess.Popen[bytes] | None = None
        self._addresses: dict[str, str] = {}

    @property
    def children(self) -> tuple[Child, ...]:
        """The commands that were started and not stopped, in the order of their start."""
        return tuple(self._children)

    def acquire(self) -> list[str]:
        """Take the state folder and end what a killed run left there; return the names of those processes.

        Raises AlreadyRunningError when another supervisor holds the folder.
        """
        self._lock = lock(self._state)
        left = [process for process in recorded(self._state) if process.alive()]
        for process in reversed(left):
            process.end()
        unclean = record_of(self._state).exists()
        self._start_watchdog()
        self._write_record()
        return [process.name for process in left] or (["no process, but its record"] if unclean else [])

    def announce(self, addresses: Mapping[str, str]) -> None:
        """Record the address of each part by its name, for `running`."""
        self._addresses = dict(addresses)
        self._write_record()

    def start(self, command: Command) -> Child:
        """Start a command in a session of its own. Raises StackError when it can't be executed."""
        with _undisturbed():
            child = spawn(command)
            self._children.append(child)
            self._tell({"started": child.process.encode()})
            self._write_record()
        return child

    def stop(self, child: Child) -> None:
        """End a command and its process group, by its own signals first. Safe to repeat."""
        child.process.end()
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.popen.wait(_COLLECT_SECONDS)  # collects the exit status, so that no zombie stays
        self._forget(child)

    def ended(self) -> list[Child]:
        """Return the commands that ended by themselves, and forget them."""
        gone = [child for child in self._children if child.ended()]
        for child in gone:
            self.stop(child)
        return gone

    def renew_watchdog(self) -> bool:
        """Start another watchdog if the last one has ended. Returns whether it had."""
        if self._watchdog is None or self._watchdog.poll() is None:
            return False
        with _undisturbed():
            self._start_watchdog()
            for child in self._children:
                self._tell({"started": child.process.encode()})
            self._write_record()
        return True

    def close(self) -> bool:
        """Stop everything, last started first, and release the state folder. Safe to repeat.

        Returns False when this supervisor did not hold the folder.
        """
        for child in reversed(self.children):
            self.stop(child)
        self._stop_watchdog()
        if self._lock is None:
            return False
        record_of(self._state).unlink(missing_ok=True)
        self._lock.close()
        self._lock = None
        return True

    def _forget(self, child: Child) -> None:
        if child in self._children:
            self._children.remove(child)
            self._tell({"stopped": child.process.pid})
            self._write_record()

    def _start_watchdog(self) -> None:
        self._watchdog = subprocess.Popen(
            [sys.executable, "-P", "-m", "tenantmesh.deploy.stack.supervision.watchdog"],
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
            try:
                self._watchdog.wait(_COLLECT_SECONDS)
            except subprocess.TimeoutExpired:  # it is suspended; nothing is left for it to end
                self._watchdog.kill()
                self._watchdog.wait()
            self._watchdog = None

    def _tell(self, order: Mapping[str, object]) -> None:
        """Give the watchdog an order. One that was killed takes none; the next one gets all of them."""
        if self._watchdog and self._watchdog.stdin:
            with contextlib.suppress(BrokenPipeError):
                self._watchdog.stdin.write(json.dumps(order).encode() + b"\n")
                self._watchdog.stdin.flush()

    def _write_record(self) -> None:
        write_record(self._state, self._addresses, [child.process for child in self._children], self._watching())

    def _watching(self) -> StartedProcess | None:
        if self._watchdog is None:
            return None
        with contextlib.suppress(psutil.NoSuchProcess):
            return find_process("watchdog", self._watchdog.pid, ())
        return None


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Delay Ctrl-C and its like until the block is done, so that no command starts without being on record.

    Signals are not blocked, since commands would inherit that. Outside of the main thread nothing interrupts anyway.
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
