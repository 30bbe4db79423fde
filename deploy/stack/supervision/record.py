"""The record of a run in its state folder (`run.json`), and the lock that one supervisor at a time holds there."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

from tenantmesh.deploy.stack.errors import AlreadyRunningError
from tenantmesh.deploy.stack.paths import write_private
from tenantmesh.deploy.stack.supervision.process import StartedProcess

__all__ = ["Holder", "left_running", "lock", "record_of", "recorded", "running", "write_record"]

_ENGINES = ("postgres", "valkey")
"""How the names of the processes begin that work inside a data folder."""


@dataclass(frozen=True, slots=True)
class Holder:
    """The supervisor that holds a state folder.

    addresses: the address of each part of its stack, by the part's name.
    watchdog: the pid of its watchdog, or None when that has ended.
    """

    pid: int
    addresses: Mapping[str, str]
    watchdog: int | None = None


def running(state: Path) -> Holder | None:
    """Return the holder of the state folder, or None when nothing runs there."""
    try:
        lock(state).close()
    except AlreadyRunningError:
        return _holder(state)
    except OSError:
        return None
    return None


def lock(state: Path) -> IO[str]:
    """Lock the state folder until the file is closed. Raises AlreadyRunningError when another process has it."""
    file = (state / "lock").open("a", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        holder = _holder(state)
        raise AlreadyRunningError(state, holder.pid, holder.addresses.get("edge", "")) from None
    return file


def record_of(state: Path) -> Path:
    """Return the path of the record. The file exists while a run has not ended cleanly."""
    return state / "run.json"


def write_record(
    state: Path,
    addresses: Mapping[str, str],
    processes: Iterable[StartedProcess],
    watchdog: StartedProcess | None,
) -> None:
    """Write what runs now, so that the next run can end what a killed one leaves behind."""
    record = {
        "pid": os.getpid(),
        "create_time": psutil.Process().create_time(),
        "addresses": dict(addresses),
        "children": [process.encode() for process in processes],
        "watchdog": watchdog.encode() if watchdog else None,
    }
    write_private(record_of(state), json.dumps(record, indent=1))


def recorded(state: Path) -> Iterator[StartedProcess]:
    """Yield the processes of the record, in the order in which they were started."""
    children = _read(state).get("children")
    for child in children if isinstance(children, list) else []:
        if process := _decoded(child):
            yield process


def left_running(state: Path) -> list[str]:
    """Return each process of this folder that runs, as `name (pid)`: on record, or at work in the data folder."""
    found = {process.pid: process.name for process in recorded(state) if process.alive()}
    data = (state / "data").resolve()
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            ours = process.name().startswith(_ENGINES) and process.ppid() not in found
            if ours and Path(process.cwd()).is_relative_to(data):
                found.setdefault(process.pid, process.name())
    return [f"{name} ({pid})" for pid, name in found.items()]


def _holder(state: Path) -> Holder:
    """Return what the record says; pid 0 in the moment before the holder has written one."""
    record = _read(state)
    pid, addresses = record.get("pid"), record.get("addresses")
    watchdog = _decoded(record.get("watchdog"))
    return Holder(
        pid if isinstance(pid, int) else 0,
        addresses if isinstance(addresses, dict) else {},
        watchdog.pid if watchdog and watchdog.alive() else None,
    )


def _decoded(process: object) -> StartedProcess | None:
    with contextlib.suppress(KeyError, TypeError, ValueError):
        return StartedProcess.decode(process) if isinstance(process, dict) else None
    return None


def _read(state: Path) -> dict[str, object]:
    try:
        record = json.loads(record_of(state).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}
