"""`tenantmesh doctor`: says what is wrong with a set-up, and what to do."""

from __future__ import annotations

from typing import Annotated

import typer

from tenantmesh.deploy.commands.console import Console
from tenantmesh.deploy.commands.diagnosis import examine
from tenantmesh.deploy.commands.options import DEFAULT_STATE, StateOption, port_option
from tenantmesh.deploy.embedded.ports import Ports

__all__ = ["doctor"]

_DEFAULT = Ports()


def doctor(
    state: StateOption = DEFAULT_STATE,
    edge_port: Annotated[int, port_option("edge", "REST, gRPC and gRPC-Web.")] = _DEFAULT.edge,
    tenant_port: Annotated[int, port_option("tenant", "tenant_svc, gRPC.")] = _DEFAULT.tenant,
    auth_port: Annotated[int, port_option("auth", "auth_svc, gRPC.")] = _DEFAULT.auth,
    admin_port: Annotated[int, port_option("admin", "Envoy's admin interface.")] = _DEFAULT.admin,
) -> None:
    """Look at the installation and at what runs here; exit 1 when something is wrong."""
    console = Console()
    wrong = 0
    for finding in examine(state, Ports(edge_port, tenant_port, auth_port, admin_port)):
        console.verdict(good=not finding.remedy, what=finding.what, text=finding.text)
        if finding.remedy:
            console.remedy(finding.remedy)
            wrong += 1
    console.note(f"{wrong} to mend" if wrong else "all is well")
    if wrong:
        raise typer.Exit(1)
