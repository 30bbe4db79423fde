"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["DEFAULT_STATE", "StateOption", "port_option", "shown"]

DEFAULT_STATE = Path(".tenantmesh")

StateOption = Annotated[
    Path,
    typer.Option("--state", envvar="TENANTMESH_STATE", help="Folder with the data and the keys.", show_default=True),
]


def port_option(name: str, what: str) -> Any:
    """An option for a port, which the environment may set too: as TENANTMESH_<NAME> or, for make, as <NAME>."""
    variable = f"{name.upper().replace('-', '_')}_PORT"
    return typer.Option(f"--{name}-port", envvar=[f"TENANTMESH_{variable}", variable], help=what, min=0, max=65535)


def shown(path: Path) -> str:
    """A path as a person would type it from here."""
    path = path.absolute()
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
