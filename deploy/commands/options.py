"""Options that several commands have."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from tenantmesh.deploy.stack.ports import PortNumbers, option_of, variables_of
from tenantmesh.deploy.stack.programs import table
from tenantmesh.deploy.stack.state_folder import STATE_NAME, STATE_VARIABLE, nearest

__all__ = ["DEFAULT_STATE", "JsonOption", "StateOption", "port_option", "port_options", "shown"]

DEFAULT_STATE = Path(STATE_NAME)
_ABOUT_STATE = "Folder with the data and the keys. Unless set, the nearest one here or in a folder above."


def _found(context: typer.Context, state: Path) -> Path:
    """Return the state folder: the one that was named, or the nearest one from here upwards."""
    source = context.get_parameter_source("state")
    named = source is not None and source.name != "DEFAULT"
    return state if named else nearest(Path.cwd()) or state


StateOption = Annotated[
    Path, typer.Option("--state", envvar=STATE_VARIABLE, help=_ABOUT_STATE, show_default=True, callback=_found)
]

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def port_option(name: str, what: str) -> Any:
    """Return an option for a port. The environment sets it too: TENANTMESH_<NAME>_PORT or, for make, <NAME>_PORT."""
    return typer.Option(option_of(name), envvar=_Variables(variables_of(name)), help=what, min=0, max=65535)


class _Variables(list[str]):
    """The variables of an option, as an error about it names them."""

    def __str__(self) -> str:
        return " or ".join(self)


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
