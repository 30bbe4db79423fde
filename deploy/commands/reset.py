"""`tenantmesh reset`: deletes the data of `tenantmesh dev`, wherever it lies."""

from __future__ import annotations

from tenantmesh.deploy.commands.console import Console
from tenantmesh.deploy.commands.options import DEFAULT_STATE, StateOption, shown
from tenantmesh.deploy.stack import paths
from tenantmesh.deploy.stack.engine_user import engine_user
from tenantmesh.deploy.stack.errors import AlreadyRunningError
from tenantmesh.deploy.stack.supervision.record import running

__all__ = ["reset"]


def reset(state: StateOption = DEFAULT_STATE) -> None:
    """Delete the data, keys and logs of the stack in this folder. Refused while it runs."""
    console = Console()
    if not state.exists():
        console.note(f"{shown(state)} does not exist; nothing to delete")
        return
    if holder := running(state):
        raise AlreadyRunningError(state, holder.pid, holder.addresses.get("edge", ""))
    paths.discard(paths.prepare(state, engine_user()))
    console.note(f"deleted {shown(state)}")
