"""The program `tenantmesh`: the command line, or the words that say what to install for it."""

from __future__ import annotations

import sys

__all__ = ["main"]

NEEDS = """tenantmesh: the command line needs packages that the library alone does not bring ({module} is missing).
Install the extras too, from the same wheel or checkout: pip install '<wheel or checkout>[server,embedded]'
"""


def main() -> None:
    """Run the command line. Without the packages of the extra `server`, say so and exit with status 1."""
    try:
        from tenantmesh.deploy.cli import main as run
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "tenantmesh":
            raise
        sys.exit(NEEDS.format(module=error.name).rstrip())
    run()
