"""`tenantmesh edge`: Envoy's configuration, to look at, to check and to deploy."""

from __future__ import annotations

import ipaddress
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from tenantmesh.deploy import envoy
from tenantmesh.deploy.commands.console import Console
from tenantmesh.deploy.commands.options import port_option
from tenantmesh.deploy.commands.origins import OriginsOption
from tenantmesh.deploy.stack.errors import StackError

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Envoy's configuration, made from the protos.")

_DEFAULT = envoy.EdgeSettings()
AddressOption = Annotated[str, typer.Option(help="Where the edge listens.")]
EdgePortOption = Annotated[int, port_option("edge", "Where the edge listens.")]
AdminPortOption = Annotated[int, port_option("admin", "Envoy's admin interface, on loopback.")]
TenantOption = Annotated[list[str] | None, typer.Option(help="tenant_svc, host:port; again for each worker.")]
OtlpOption = Annotated[str | None, typer.Option(help="The OTLP/gRPC collector of the edge's spans, host:port.")]
RatioOption = Annotated[float, typer.Option(help="The part of the calls that are traced.", min=0, max=1)]
AuthOption = Annotated[list[str] | None, typer.Option(help="auth_svc, host:port; again for each worker.")]


@app.command()
def render(
    output: Annotated[Path, typer.Argument(help="The file to write.")],
    address: AddressOption = _DEFAULT.address,
    edge_port: EdgePortOption = _DEFAULT.port,
    admin_port: AdminPortOption = 9901,
    tenant: TenantOption = None,
    auth: AuthOption = None,
    cors_origin: OriginsOption = None,
    otlp: OtlpOption = None,
    trace_ratio: RatioOption = _DEFAULT.trace_ratio,
) -> None:
    """Write the configuration as JSON, readable by you alone."""
    _write(_settings(address, edge_port, admin_port, tenant, auth, cors_origin, otlp, trace_ratio), output)
    Console().note(f"wrote {output}")


@app.command()
def validate(
    configuration: Annotated[Path | None, typer.Argument(help="A written configuration. None: a new one.")] = None,
    address: AddressOption = _DEFAULT.address,
    edge_port: EdgePortOption = _DEFAULT.port,
    admin_port: AdminPortOption = 9901,
    tenant: TenantOption = None,
    auth: AuthOption = None,
    cors_origin: OriginsOption = None,
    otlp: OtlpOption = None,
    trace_ratio: RatioOption = _DEFAULT.trace_ratio,
) -> None:
    """Have Envoy load a configuration without serving it."""
    settings = _settings(address, edge_port, admin_port, tenant, auth, cors_origin, otlp, trace_ratio)
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


def _settings(
    address: str,
    port: int,
    admin_port: int,
    tenant: list[str] | None,
    auth: list[str] | None,
    cors_origins: list[str] | None,
    otlp: str | None,
    trace_ratio: float,
) -> envoy.EdgeSettings:
    return envoy.EdgeSettings(
        address=address,
        port=port,
        admin_port=admin_port or None,
        tenant=tuple(tenant or _DEFAULT.tenant),
        auth=tuple(auth or _DEFAULT.auth),
        cors_origins=tuple(cors_origins or ()),
        otlp=otlp,
        trace_ratio=trace_ratio,
    )
