"""Ends a stack's processes when their supervisor is gone, however it went. Started by the supervisor, told by stdin.

The supervisor says what it starts and stops, one JSON object a line. The end of the input means that the supervisor
has ended: after kill -9 too, since the system closes the pipe. This works on every Unix, while parent-death signals
are Linux's alone and fire when a thread ends.
"""

import contextlib
import json
import shutil
import signal
import sys
from typing import Any

from deploy.embedded.liveness import Identity


def main() -> None:
    """Follows the supervisor's commands, then ends what is left, last started first."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    started: dict[int, Identity] = {}
    folders: list[str] = []
    for line in sys.stdin:
        with contextlib.suppress(ValueError):  # a line cut short by the supervisor's death
            _follow(json.loads(line), started, folders)
    for process in reversed(started.values()):
        process.end()
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def _follow(command: dict[str, Any], started: dict[int, Identity], folders: list[str]) -> None:
    if "started" in command:
        process = Identity.decode(command["started"])
        started[process.pid] = process
    elif "stopped" in command:
        started.pop(int(command["stopped"]), None)
    elif "discard" in command:
        folders.append(str(command["discard"]))


if __name__ == "__main__":
    main()
