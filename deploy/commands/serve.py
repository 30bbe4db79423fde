"""`tenantmesh serve`: one service or the worker in this process, for containers and service managers."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from typing import Annotated

import typer

__all__ = ["ServiceName", "serve"]


class ServiceName(StrEnum):
    """What can be served."""

    TENANT = "tenant"
    AUTH = "auth"
    WORKER = "worker"


_MODULES = {ServiceName.TENANT: "tenant_svc", ServiceName.AUTH: "auth_svc", ServiceName.WORKER: "tenant_svc.worker"}


def serve(service: Annotated[ServiceName, typer.Argument(help="Which one.")]) -> None:
    """Run a service or the worker, with settings in TENANTMESH_* variables. Replaces this process: signals reach it."""
    os.execv(sys.executable, [sys.executable, "-P", "-m", f"tenantmesh.{_MODULES[service]}"])
