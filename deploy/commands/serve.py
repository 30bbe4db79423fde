"""`tenantmesh serve`: one service in this process, for containers and service managers."""

import os
import sys
from enum import StrEnum
from typing import Annotated

import typer


class ServiceName(StrEnum):
    """What can be served."""

    TENANT = "tenant"
    AUTH = "auth"


def serve(service: Annotated[ServiceName, typer.Argument(help="Which service.")]) -> None:
    """Run one service with the settings in TENANTMESH_* variables. Replaces this process, so signals reach it."""
    os.execv(sys.executable, [sys.executable, "-P", "-m", f"{service.value}_svc"])
