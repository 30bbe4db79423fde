"""`tenantmesh tenants`: tenants of a running mesh, through its edge."""

from __future__ import annotations

from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from tenantmesh.deploy.commands.console import Console
from tenantmesh.deploy.commands.edge_access import address, edge_of, is_tls, operator_key
from tenantmesh.deploy.commands.import_client import ImportClient, Sending
from tenantmesh.deploy.commands.import_repetitions import Repetitions
from tenantmesh.deploy.commands.import_report import Advance, ImportReport, progress_bar
from tenantmesh.deploy.commands.import_slices import FileSlice, slices_of
from tenantmesh.deploy.commands.options import DEFAULT_STATE, StateOption, shown
from tenantmesh.tenant.v1 import tenant_bulk_service_pb2 as pb

__all__ = ["app"]

_REJECTED = 3
"""The exit code when lines were rejected."""
_INTERRUPTED = 130
app = typer.Typer(no_args_is_help=True, help="Tenants of a running mesh.")


class OnExisting(StrEnum):
    """The treatment of a line whose tenant exists with other values."""

    UPDATE = "update"
    REPORT = "report"


_VALUES = {OnExisting.UPDATE: pb.ON_EXISTING_UPDATE, OnExisting.REPORT: pb.ON_EXISTING_REPORT}


@app.callback()
def tenants() -> None:
    """Take the subcommands."""


@app.command("import")
def import_tenants(
    file: Annotated[Path, typer.Argument(help="Lines of JSON, one tenant each.", exists=True, dir_okay=False)],
    state: StateOption = DEFAULT_STATE,
    edge: Annotated[str, typer.Option(help="The edge's address. Empty: that of the stack that runs here.")] = "",
    key_file: Annotated[Path | None, typer.Option(help="An operator's key. Default: that of the stack here.")] = None,
    on_existing: Annotated[
        OnExisting, typer.Option(help="How to treat a line whose tenant exists with other values.")
    ] = OnExisting.UPDATE,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check every line and change nothing.")] = False,
) -> None:
    """Create or update the tenants in FILE. Interrupted, start it again: lines that are done stay as they are.

    Rejected lines go to FILE.rejected, each with its number and reason. Exit code 0: every line is done; 1: it could
    not be done, and a line says why; 3: lines were rejected; 130: it was interrupted.
    """
    console = Console()
    where = edge or edge_of(state)
    host, port = address(where, tls=True)
    sending = Sending(on_existing=_VALUES[on_existing], dry_run=dry_run)
    with (
        ImportReport(file) as report,
        ImportClient(f"{host}:{port}", operator_key(key_file or state / "operator.key"), tls=is_tls(where)) as client,
    ):
        try:
            repetitions = Repetitions()
            with progress_bar(file) as advance:
                for part in slices_of(file):
                    send = partial(client.send, sending=sending, reached=partial(_reached, advance, part, report))
                    report.add(part, repetitions.imported(part, send))
                    advance(part.end, report.counts)
        except KeyboardInterrupt:
            client.cancel()
            console.error(f"interrupted: {report.words(dry_run=dry_run)}", "Start it again: what is done stays.")
            raise typer.Exit(_INTERRUPTED) from None
    console.note(report.words(dry_run=dry_run))
    if report.counts.rejected:
        console.error(f"{report.counts.rejected} lines were rejected.", f"They are in {shown(report.path)}")
        raise typer.Exit(_REJECTED)


def _reached(advance: Advance, part: FileSlice, report: ImportReport, progress: pb.ImportTenantsMetadata) -> None:
    """Show how far the slice under way is."""
    advance(part.place(progress.progress_percent), report.counts_with(progress.counts))
