"""The entry point of the command line `tenantmesh`. The commands are imported late, since a plain install lacks
what they need.
"""

from __future__ import annotations

import importlib
import sys

__all__ = ["main"]

_NEEDED = (
    "tenantmesh: the command line needs more than the library: {name} is not installed.\n"
    "            Install it: pip install 'tenantmesh[server]', and for `tenantmesh dev` also 'tenantmesh[embedded]'\n"
)


def main() -> None:
    """Run the command line. Exit code 0: done; 1: it could not be done, and a line says why; 2: wrong usage."""
    try:
        commands = importlib.import_module("tenantmesh.deploy.commands.app")
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("tenantmesh"):
            raise
        sys.stderr.write(_NEEDED.format(name=error.name))
        sys.exit(1)
    commands.run()
