"""How a state folder is known as ours, and how a command finds it. What lies in it is in `paths`."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

__all__ = ["STATE_NAME", "STATE_VARIABLE", "is_state_folder", "mark", "nearest"]

STATE_NAME = ".tenantmesh"
STATE_VARIABLE = "TENANTMESH_STATE"
_MARKER = "tenantmesh-state"
_MARK = "tenantmesh keeps its data and keys in this folder. `tenantmesh reset` deletes the folder.\n"
# Folders made before there was a marker: they have these, and besides them nothing but what a stack writes.
_SURELY = {"lock", "logs", "data"}
_PERHAPS = {"run.json", "credentials.json", "signing-keys.kek", "purge-keys.kek", "envoy.json"}
_ENDINGS = (".key", ".key.new", ".json.new", ".kek.new")


def is_state_folder(folder: Path) -> bool:
    """Return whether a stack made this folder, and may delete it."""
    if not folder.is_dir():
        return False
    if (folder / _MARKER).is_file():
        return True
    names = {path.name for path in folder.iterdir()}
    foreign = [name for name in names - _SURELY - _PERHAPS if not name.endswith(_ENDINGS)]
    return names >= _SURELY and not foreign


def mark(folder: Path) -> None:
    """Mark a folder as ours."""
    marker = folder / _MARKER
    if not marker.exists():
        marker.write_text(_MARK, encoding="utf-8")


def nearest(start: Path) -> Path | None:
    """Return this user's state folder in `start` or in the nearest folder above it, or None, as git finds its own."""
    for folder in (start, *start.parents):
        state = folder / STATE_NAME
        with contextlib.suppress(OSError):  # a folder that we may not read is not ours
            if is_state_folder(state) and state.stat().st_uid == os.geteuid():
                return state
    return None
