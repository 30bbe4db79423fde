"""The option that lets pages of other origins call the edge."""

from __future__ import annotations

from typing import Annotated

import typer

from tenantmesh.deploy import envoy
from tenantmesh.deploy.stack.programs.edge import ORIGINS_VARIABLE

__all__ = ["OriginsOption"]


def _checked(origins: list[str] | None) -> list[str] | None:
    """Return the origins. Raises typer.BadParameter for what no browser sends as one."""
    try:
        for origin in origins or ():
            envoy.origin_form(origin)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    return origins


OriginsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--cors-origin",
        envvar=ORIGINS_VARIABLE,
        callback=_checked,
        help="An origin whose pages may call the edge, as https://app.example.com; `*` is any one label of the host. "
        "Again for each; spaces between them in the variable.",
    ),
]
