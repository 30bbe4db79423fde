"""Ends a stack's processes when their supervisor is gone, by whatever death. Started by the supervisor.

The supervisor writes what it starts and stops to this process's stdin, one JSON object a line. End of input means that
the supervisor has ended: after kill -9 too, since the system closes the pipe. This works on every Unix. Parent-death
signals work on Linux alone, and fire when a thread ends.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

from tenantmesh.deploy.stack.supervision.process import StartedProcess

__all__ = ["main"]


def main() -> None:
    """Follow the supervisor's orders; at their end, end what still runs, last started first."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    started: dict[int, StartedProcess] = {}
    paths: list[Path] = []
    for line in sys.stdin:
        with contextlib.suppress(ValueError):  # a line cut short by the supervisor's death
            _follow(json.loads(line), started, paths)
    for process in reversed(started.values()):
        process.end()
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _follow(order: dict[str, Any], started: dict[int, StartedProcess], paths: list[Path]) -> None:
    if "started" in order:
        process = StartedProcess.decode(order["started"])
        started[process.pid] = process
    elif "stopped" in order:
        started.pop(int(order["stopped"]), None)
    elif "discard" in order:
        paths.append(Path(order["discard"]))


if __name__ == "__main__":
    main()
