"""docs/reference/command-line.md: every command with its arguments and options, from the program itself."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import Any

import typer.main

from tenantmesh.deploy.cli import app
from tooling.reference.tables import code, table

__all__ = ["page"]

HEAD = """# Command line

`make setup` installs it as `.venv/bin/tenantmesh`. Exit code 0: done; 1: it could not be done, and a line on standard
error says why and what to do; 2: wrong usage; 78: a service must not serve, or a variable of the environment begins
with `TENANTMESH_` and nobody reads it. Then every such variable is listed with the nearest right name, and no command
runs; variables that Kubernetes sets for a Service named `tenantmesh-…` are left alone. Options with a variable may be
set in the environment instead; the first variable that is set counts. `tenantmesh --version` prints the version.

Without `--state` and `TENANTMESH_STATE` a command uses the nearest `.tenantmesh` of yours in this folder or in one
above, as git finds a repository; `tenantmesh dev` makes one here when there is none. A stack uses a new or empty
folder, or one that it has made, and `tenantmesh reset` deletes only such a folder. From `make` the ports are variables
without prefix, as `make run EDGE_PORT=8090`; `make reset YES=1` does not ask.

`--json` prints the same for programs: for `doctor` a list of findings (`what`, `good`, `text`, `remedy`), for `migrate`
a list of schemas (`service`, `before`, `newest`, `pending`), for `operator list` a list of keys.
"""


def page() -> str:
    """Return the page."""
    root = typer.main.get_command(app)
    return "\n".join([HEAD, *(_section(name, command) for name, command in _commands("tenantmesh", root))])


def _commands(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    """Yield every command that does something, groups left out."""
    inner = getattr(command, "commands", None)
    if inner is None:
        yield name, command
        return
    for word, each in inner.items():
        yield from _commands(f"{name} {word}", each)


def _section(name: str, command: Any) -> str:
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    words = [f"<{each.name}>" if each.required else f"[{each.name}]" for each in arguments]
    usage = " ".join([name, *words])
    rows = [_row(each) for each in command.params]
    return f"## {usage}\n\n{command.help}\n\n" + table(("Option", "Variable", "Default", "Meaning"), rows)


def _row(parameter: Any) -> tuple[str, str, str, str]:
    name = parameter.opts[0] if parameter.param_type_name == "option" else parameter.name
    named = parameter.envvar or []
    variable = named if isinstance(named, str) else ", ".join(named)
    return code(name), code(variable), _default(parameter), _meaning(parameter)


def _default(parameter: Any) -> str:
    default = parameter.default
    if default is None or default is False or default == "":
        return "required" if parameter.required else ""
    return code(str(default.value if isinstance(default, Enum) else default))


def _meaning(parameter: Any) -> str:
    kind = parameter.type_descriptor.annotation
    choices = isinstance(kind, type) and issubclass(kind, Enum)
    named = f" One of {', '.join(code(each.value) for each in kind)}." if choices else ""
    return f"{parameter.help}{named}"
