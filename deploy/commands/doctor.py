"""`tenantmesh doctor`: says what is wrong with a set-up, and what to do."""

from __future__ import annotations

import typer

from tenantmesh.deploy.commands.console import Console
from tenantmesh.deploy.commands.diagnosis import examine
from tenantmesh.deploy.commands.options import DEFAULT_STATE, StateOption, port_options
from tenantmesh.deploy.stack.ports import PortNumbers

__all__ = ["doctor"]


@port_options
def doctor(*, state: StateOption = DEFAULT_STATE, ports: PortNumbers) -> None:
    """Look at the installation and at what runs here; exit 1 when something is wrong."""
    console = Console()
    wrong = 0
    for finding in examine(state, ports):
        console.verdict(good=not finding.remedy, what=finding.what, text=finding.text)
        if finding.remedy:
            console.remedy(finding.remedy)
            wrong += 1
    console.note(f"{wrong} to mend" if wrong else "all is well")
    if wrong:
        raise typer.Exit(1)
