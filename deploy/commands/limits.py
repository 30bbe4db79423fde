"""The option that changes limits of the edge."""

from __future__ import annotations

from typing import Annotated

import typer

from tenantmesh.deploy import envoy
from tenantmesh.deploy.stack.programs.edge import LIMITS_VARIABLE

__all__ = ["LimitsOption"]


def _checked(limits: list[str] | None) -> list[str] | None:
    """Return the limits. Raises typer.BadParameter for one that is none, or has no such value."""
    try:
        envoy.EdgeLimits().changed(limits or ())
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    return limits


LimitsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--edge-limit",
        envvar=LIMITS_VARIABLE,
        callback=_checked,
        help="A limit of the edge that is not its default, as address_rate=200 or idle_connection=30s. Again for each; "
        "spaces between them in the variable. docs/operations.md lists them.",
    ),
]
