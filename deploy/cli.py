"""The command line `tenantmesh`: puts the subcommands together and turns errors into lines and exit codes."""

from __future__ import annotations

import sys

import typer

from tenantmesh.deploy.commands import edge, operator
from tenantmesh.deploy.commands.console import Console
from tenantmesh.deploy.commands.demo import demo
from tenantmesh.deploy.commands.dev import dev
from tenantmesh.deploy.commands.doctor import doctor
from tenantmesh.deploy.commands.migrate import migrate
from tenantmesh.deploy.commands.reset import reset
from tenantmesh.deploy.commands.serve import serve
from tenantmesh.deploy.stack.errors import StackError
from tenantmesh.interceptors.errors import MeshError

__all__ = ["app", "main"]

app = typer.Typer(
    name="tenantmesh",
    help="The tenancy layer of a gRPC mesh.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(dev)
app.command()(demo)
app.command()(serve)
app.command()(migrate)
app.command()(doctor)
app.command()(reset)
app.add_typer(operator.app, name="operator")
app.add_typer(edge.app, name="edge")


def main() -> None:
    """Run the command line. Exit code 0: done; 1: it could not be done, and a line says why; 2: wrong usage."""
    try:
        app()
    except StackError as error:
        Console().error(error.message, error.remedy)
        sys.exit(1)
    except MeshError as error:
        Console().error(error.message)
        sys.exit(1)
