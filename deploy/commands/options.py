"""Options that several commands have."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from tenantmesh.deploy.stack.ports import PortNumbers, option_of, variable_of
from tenantmesh.deploy.stack.programs import table

__all__ = ["DEFAULT_STATE", "StateOption", "port_option", "port_options", "shown"]

DEFAULT_STATE = Path(".tenantmesh")

StateOption = Annotated[
    Path,
    typer.Option("--state", envvar="TENANTMESH_STATE", help="Folder with the data and the keys.", show_default=True),
]


def port_option(name: str, what: str) -> Any:
    """Return an option for a port. The environment sets it too: TENANTMESH_<NAME>_PORT or, for make, <NAME>_PORT."""
    variable = variable_of(name)
    return typer.Option(option_of(name), envvar=[f"TENANTMESH_{variable}", variable], help=what, min=0, max=65535)


def port_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command an option for each port of each program. It receives all of them as its argument `ports`."""
    ports = {f"{port.name}_port": port for port in table.ports()}

    @functools.wraps(command)
    def run(**given: Any) -> None:
        numbers = {port.name: given.pop(option) for option, port in ports.items()}
        command(**given, ports=PortNumbers(numbers))

    own = [option for option in inspect.signature(command, eval_str=True).parameters.values() if option.name != "ports"]
    options = [
        inspect.Parameter(
            option,
            inspect.Parameter.KEYWORD_ONLY,
            default=port.default,
            annotation=Annotated[int, port_option(port.name, port.about)],
        )
        for option, port in ports.items()
    ]
    shown_to_typer: Any = run
    shown_to_typer.__signature__ = inspect.Signature([*own, *options])
    return run


def shown(path: Path) -> str:
    """Return a path as a person would type it from here."""
    path = path.absolute()
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
