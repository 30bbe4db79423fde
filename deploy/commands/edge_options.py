"""The options of an edge's configuration, the same for every command that makes one."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from tenantmesh.deploy import envoy
from tenantmesh.deploy.commands.limits import LimitsOption
from tenantmesh.deploy.commands.options import port_option
from tenantmesh.deploy.commands.origins import OriginsOption

__all__ = ["edge_options"]

_DEFAULT = envoy.EdgeSettings()
_HEALTH = "The health port of the first {}; the others' are as far from their ports. Unset: the port of calls."
_BETWEEN = "Route methods that only services call too, for services that reach each other through this edge."
_OPTIONS: dict[str, tuple[Any, Any]] = {
    "address": (Annotated[str, typer.Option(help="Where the edge listens.")], _DEFAULT.address),
    "edge_port": (Annotated[int, port_option("edge", "Where the edge listens.")], _DEFAULT.port),
    "admin_port": (
        Annotated[int, port_option("admin", "Envoy's metrics and state, for reading, on loopback. 0: nowhere.")],
        _DEFAULT.admin_port,
    ),
    "admin_socket": (
        Annotated[Path | None, typer.Option(help="The socket of Envoy's own interface. Unset: an abstract one.")],
        None,
    ),
    "tenant": (Annotated[list[str] | None, typer.Option(help="tenant_svc, host:port; again for each worker.")], None),
    "auth": (Annotated[list[str] | None, typer.Option(help="auth_svc, host:port; again for each worker.")], None),
    "tenant_health_port": (
        Annotated[int | None, port_option("tenant_health", _HEALTH.format("tenant_svc"))],
        None,
    ),
    "auth_health_port": (Annotated[int | None, port_option("auth_health", _HEALTH.format("auth_svc"))], None),
    "trusted_hops": (
        Annotated[int, typer.Option(help="Proxies in front whose x-forwarded-for entries are believed.", min=0)],
        _DEFAULT.trusted_hops,
    ),
    "between_processes": (Annotated[bool, typer.Option("--between-processes", help=_BETWEEN)], False),
    "cors_origin": (OriginsOption, None),
    "edge_limit": (LimitsOption, None),
    "otlp": (
        Annotated[str | None, typer.Option(help="The OTLP/gRPC collector of the edge's spans, host:port.")],
        None,
    ),
    "trace_ratio": (
        Annotated[float, typer.Option(help="The part of the calls that are traced.", min=0, max=1)],
        _DEFAULT.trace_ratio,
    ),
}


def edge_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of an edge. It receives them as its argument `settings`."""

    @functools.wraps(command)
    def run(**given: Any) -> None:
        options = {name: given.pop(name) for name in _OPTIONS}
        command(**given, settings=_settings(**options))

    shown_to_typer: Any = run
    shown_to_typer.__signature__ = inspect.Signature([*_own(command), *_parameters()])
    return run


def _own(command: Callable[..., None]) -> Iterator[inspect.Parameter]:
    parameters = inspect.signature(command, eval_str=True).parameters.values()
    return (parameter for parameter in parameters if parameter.name != "settings")


def _parameters() -> Iterator[inspect.Parameter]:
    for name, (annotation, default) in _OPTIONS.items():
        yield inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _settings(
    *,
    edge_port: int,
    admin_port: int,
    tenant: list[str] | None,
    auth: list[str] | None,
    cors_origin: list[str] | None,
    edge_limit: list[str] | None,
    **others: Any,
) -> envoy.EdgeSettings:
    return envoy.EdgeSettings(
        port=edge_port,
        admin_port=admin_port or None,
        tenant=tuple(tenant or _DEFAULT.tenant),
        auth=tuple(auth or _DEFAULT.auth),
        cors_origins=tuple(cors_origin or ()),
        limits=_DEFAULT.limits.changed(edge_limit or ()),
        **others,
    )
