"""`tenantmesh serve`: one program of ours in this process, for containers and service managers."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from tenantmesh.deploy.stack.programs.python_program import module_command
from tenantmesh.deploy.stack.programs.table import command_line_variables, python_programs

__all__ = ["serve"]


def _modules() -> dict[str, str]:
    return {program.word: program.module for program in python_programs()}


def _known(service: str) -> str:
    if service not in _modules():
        raise typer.BadParameter(f"{service!r} is not one of {', '.join(_modules())}.")
    return service


def serve(
    service: Annotated[str, typer.Argument(help=f"Which one: {', '.join(_modules())}.", callback=_known)],
) -> None:
    """Run a service or the worker, with settings in TENANTMESH_* variables. Replaces this process: signals reach it."""
    ours = command_line_variables()  # TENANTMESH_WORKER_METRICS_PORT would be a setting of the worker that is none
    environment = {name: value for name, value in os.environ.items() if name not in ours}
    os.execve(sys.executable, module_command(_modules()[service]), environment)
