"""The command line `tenantmesh`: puts the subcommands together and turns errors into lines and exit codes."""

import sys

import typer

from deploy.commands import edge, operator
from deploy.commands.console import Console
from deploy.commands.demo import demo
from deploy.commands.dev import dev
from deploy.commands.doctor import doctor
from deploy.commands.migrate import migrate
from deploy.commands.reset import reset
from deploy.commands.serve import serve
from deploy.embedded.errors import EmbeddedError
from interceptors.errors import MeshError

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
    """Runs the command line. Exit code 0: done; 1: it could not be done, and a line says why; 2: wrong usage."""
    try:
        app()
    except EmbeddedError as error:
        Console().error(error.message, error.remedy)
        sys.exit(1)
    except MeshError as error:
        Console().error(error.message)
        sys.exit(1)
