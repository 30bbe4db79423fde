"""The command line `tenantmesh`: puts the subcommands together and turns errors into lines and exit codes."""

from __future__ import annotations

import importlib.metadata
import os
import sys
from typing import Annotated

import typer

from tenantmesh.deploy.commands import edge, operator, tenants
from tenantmesh.deploy.commands.console import PRODUCT, Console
from tenantmesh.deploy.commands.demo import demo
from tenantmesh.deploy.commands.dev import dev
from tenantmesh.deploy.commands.doctor import doctor
from tenantmesh.deploy.commands.failures import in_words
from tenantmesh.deploy.commands.migrate import migrate
from tenantmesh.deploy.commands.reset import reset
from tenantmesh.deploy.commands.serve import serve
from tenantmesh.deploy.commands.verify_purge import verify_purge
from tenantmesh.deploy.stack.errors import StackError
from tenantmesh.deploy.stack.programs.stray_variables import stray_variables
from tenantmesh.interceptors.errors import MeshError
from tenantmesh.runtime.database import DatabaseError
from tenantmesh.runtime.server import REFUSED

__all__ = ["app", "main"]

app = typer.Typer(
    name="tenantmesh",
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
app.command()(verify_purge)
app.add_typer(operator.app, name="operator")
app.add_typer(tenants.app, name="tenants")
app.add_typer(edge.app, name="edge")


def _print_version(wanted: bool) -> None:
    if wanted:
        Console().plain(f"{PRODUCT} {importlib.metadata.version(PRODUCT)}")
        raise typer.Exit


@app.callback(help="The tenancy layer of a gRPC mesh.")
def common(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """Take the options that stand before a command."""
    del version


def main() -> None:
    """Run the command line. Exit code 0: done; 1: it could not be done, and a line says why; 2: wrong usage; 78: a
    variable is misspelt, or a service must not serve."""
    _refuse_stray_variables()
    try:
        app()
    except (StackError, MeshError, DatabaseError, OSError) as error:
        failure = in_words(error)
        Console().error(failure.message, failure.remedy)
        sys.exit(1)


def _refuse_stray_variables() -> None:
    """Exit when a variable is misspelt, before a command falls back to a default in its place."""
    if {"--help", "--version"}.isdisjoint(sys.argv) and (strays := list(stray_variables(os.environ))):
        Console().error("refuses to start; correct these variables:", *strays)
        sys.exit(REFUSED)
