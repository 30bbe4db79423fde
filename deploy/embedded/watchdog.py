"""Ends a stack's processes when their supervisor is gone, however it went. Started by the supervisor, told by stdin.

The supervisor says what it starts and stops, one JSON object a line. The end of the input means that the supervisor
has ended: after kill -9 too, since the system closes the pipe. This works on every Unix, while parent-death signals
are Linux's alone and fire when a thread ends.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

from tenantmesh.deploy.embedded.liveness import Identity

__all__ = ["main"]


def main() -> None:
    """Follows the supervisor's commands, then ends what is left, last started first."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    started: dict[int, Identity] = {}
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


def _follow(command: dict[str, Any], started: dict[int, Identity], paths: list[Path]) -> None:
    if "started" in command:
        process = Identity.decode(command["started"])
        started[process.pid] = process
    elif "stopped" in command:
        started.pop(int(command["stopped"]), None)
    elif "discard" in command:
        paths.append(Path(command["discard"]))


if __name__ == "__main__":
    main()
