"""`tenantmesh edge`: Envoy's configuration, to look at, to check and to deploy."""

from __future__ import annotations

import ipaddress
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from tenantmesh.deploy import envoy
from tenantmesh.deploy.commands.console import Console
from tenantmesh.deploy.commands.edge_options import edge_options
from tenantmesh.deploy.stack.errors import StackError

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Envoy's configuration, made from the protos.")


@app.command()
@edge_options
def render(output: Annotated[Path, typer.Argument(help="The file to write.")], *, settings: envoy.EdgeSettings) -> None:
    """Write the configuration as JSON, readable by you alone."""
    _write(settings, output)
    Console().note(f"wrote {output}")


@app.command()
@edge_options
def validate(
    configuration: Annotated[Path | None, typer.Argument(help="A written configuration. None: a new one.")] = None,
    *,
    settings: envoy.EdgeSettings,
) -> None:
    """Have Envoy load a configuration without serving it."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            envoy.validate(configuration or _write(settings, Path(folder) / "envoy.json"))
        except envoy.InvalidConfiguration as error:
            raise StackError(f"Envoy refuses the configuration: {error}") from error
        except FileNotFoundError as error:
            raise StackError(f"{error}.") from error
    Console().note("Envoy accepts the configuration")


def _write(settings: envoy.EdgeSettings, output: Path) -> Path:
    """Write the configuration. Raises StackError for an address that is none, and for a file that can't be written."""
    try:
        ipaddress.ip_address(settings.address)
    except ValueError as error:
        raise StackError(f"--address: {settings.address!r} is no IP address.", remedy="Such as 0.0.0.0") from error
    try:
        return envoy.write(settings, output)
    except (ValueError, envoy.UnusableContract) as error:
        raise StackError(
            f"no configuration can be made: {error}.",
            remedy="Give each part an address of its own, such as tenant_svc:50051.",
        ) from error
    except OSError as error:
        raise StackError(f"{output} can't be written: {error.strerror}.", remedy="Choose another file.") from error
