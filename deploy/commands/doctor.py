"""`tenantmesh doctor`: says what is wrong with a set-up, and what to do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import typer

from tenantmesh.deploy.commands.console import Console
from tenantmesh.deploy.commands.diagnosis import Finding, examine
from tenantmesh.deploy.commands.options import DEFAULT_STATE, JsonOption, StateOption, port_options
from tenantmesh.deploy.stack.ports import PortNumbers

__all__ = ["doctor"]


@port_options
def doctor(*, state: StateOption = DEFAULT_STATE, as_json: JsonOption = False, ports: PortNumbers) -> None:
    """Look at the installation and at what runs here; exit 1 when something is wrong."""
    console = Console()
    if as_json:
        findings = list(examine(state, ports))
        console.json([_encoded(finding) for finding in findings])
    else:
        findings = list(_printed(console, examine(state, ports)))
    wrong = sum(1 for finding in findings if finding.remedy)
    if not as_json:
        console.note(f"{wrong} {'problem' if wrong == 1 else 'problems'} found" if wrong else "all is well")
    if wrong:
        raise typer.Exit(1)


def _printed(console: Console, findings: Iterable[Finding]) -> Iterator[Finding]:
    """Print each finding as soon as it is there, and yield it."""
    for finding in findings:
        console.verdict(good=not finding.remedy, what=finding.what, text=finding.text)
        if finding.remedy:
            console.remedy(finding.remedy)
        yield finding


def _encoded(finding: Finding) -> dict[str, object]:
    return {"what": finding.what, "good": not finding.remedy, "text": finding.text, "remedy": finding.remedy}
