"""`tenantmesh reset`: deletes the data of `tenantmesh dev`, wherever it lies, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tenantmesh.deploy.commands.console import Console
from tenantmesh.deploy.commands.options import DEFAULT_STATE, StateOption, shown
from tenantmesh.deploy.stack import paths
from tenantmesh.deploy.stack.engine_user import engine_user
from tenantmesh.deploy.stack.errors import AlreadyRunningError, StackError
from tenantmesh.deploy.stack.state_folder import is_state_folder
from tenantmesh.deploy.stack.supervision.record import left_running, running

__all__ = ["reset"]


def reset(
    state: StateOption = DEFAULT_STATE,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Delete without asking, for scripts.")] = False,
) -> None:
    """Delete the data, keys and logs of the stack in this folder. Refused while any of it runs."""
    console = Console()
    if not state.exists():
        console.note(f"{shown(state)} does not exist; nothing to delete")
        return
    folder = state.resolve()
    _refuse(folder)
    if not yes:
        _ask(folder)
    places = paths.locate(folder, engine_user())
    paths.discard(places)
    if state.is_symlink():
        state.unlink()
    if left := [path for path in paths.folders(places) if path.exists()]:
        raise StackError(f"could not delete all of {', '.join(map(shown, left))}.", remedy="Delete it as its owner.")
    console.note(f"deleted {shown(state)}")


def _refuse(folder: Path) -> None:
    """Raise StackError for a folder that is not a stack's, or whose processes run."""
    if not is_state_folder(folder):
        raise StackError(
            f"{shown(folder)} is no state folder of tenantmesh; nothing was deleted.",
            remedy="Name the folder that `tenantmesh dev` uses, with --state or TENANTMESH_STATE.",
        )
    if holder := running(folder):
        raise AlreadyRunningError(folder, holder.pid, holder.addresses.get("edge", ""))
    if left := left_running(folder):
        raise StackError(
            f"processes of this folder still run, without a supervisor: {', '.join(left)}.",
            remedy="End them first: `tenantmesh dev` does when it starts; stop it then with Ctrl-C.",
        )


def _ask(folder: Path) -> None:
    """Ask whether to delete the folder. Raises StackError unless the answer is yes."""
    try:
        agreed = typer.confirm(f"Delete {shown(folder)}, with all data, keys and logs in it?")
    except typer.Abort:  # Ctrl-C, or nobody there to answer
        typer.echo()
        agreed = False
    if not agreed:
        raise StackError("nothing was deleted.", remedy="To delete without being asked: tenantmesh reset --yes")
