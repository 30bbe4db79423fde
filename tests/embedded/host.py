"""Runs engines in a process of their own until somebody ends it: `python -m tests.embedded.host STATE`."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from tenantmesh.deploy.stack.engines.engines import Engines
from tenantmesh.deploy.stack.errors import StackError


def main() -> None:
    """Starts the engines, says so with one line of JSON, and waits."""
    try:
        engines = Engines(Path(sys.argv[1]))
        engines.start()
    except StackError as error:
        sys.exit(str(error))
    children = {"postgres": engines.postgres.child, "valkey": engines.valkey.child}
    pids = {name: child.process.pid for name, child in children.items() if child}
    print(json.dumps({"pid": os.getpid(), "uid": os.getuid(), **pids}), flush=True)
    for _ in range(6_000):
        engines.watch(lambda _text: None)
        time.sleep(0.1)


if __name__ == "__main__":
    main()
