"""`tenantmesh serve`: one program of ours in this process, for containers and service managers."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from tenantmesh.deploy.stack.programs.python_program import module_command
from tenantmesh.deploy.stack.programs.stray_variables import is_service_link
from tenantmesh.deploy.stack.programs.table import command_line_variables, python_programs
from tenantmesh.runtime.settings import ENVIRONMENT_PREFIX

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
    environment = {name: value for name, value in os.environ.items() if not _is_no_setting(name, value)}
    os.execve(sys.executable, module_command(_modules()[service]), environment)


def _is_no_setting(name: str, value: str) -> bool:
    """Return whether the service would take the variable for a setting that it is not, and refuse to start.

    TENANTMESH_WORKER_METRICS_PORT is an option's, and Kubernetes sets some for services named tenantmesh-…
    """
    return name in command_line_variables() or (
        name.upper().startswith(ENVIRONMENT_PREFIX) and is_service_link(name.upper(), value)
    )
