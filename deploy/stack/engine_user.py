"""The system user as which the database engines run. PostgreSQL refuses root, so root's engines run as `nobody`."""

from __future__ import annotations

import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from tenantmesh.deploy.stack.errors import StackError

__all__ = ["EngineUser", "engine_user"]


class PopenIdentity(TypedDict, total=False):
    """The arguments of `subprocess.Popen` that change the user."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True, slots=True)
class EngineUser:
    """The user that owns the engines' files and processes. `switch`: it is another user than ours."""

    name: str
    uid: int
    gid: int
    switch: bool

    def popen(self) -> PopenIdentity:
        """Return the arguments that make `subprocess.Popen` start a program as this user."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []} if self.switch else {}

    def give(self, path: Path) -> None:
        """Make this user the owner of a file or folder."""
        if self.switch:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def blocked_at(self, folder: Path) -> Path | None:
        """Return the first folder on the way to `folder`, itself included, that this user may not enter, or None."""
        if not self.switch:
            return None
        real = folder.resolve()
        return next((step for step in (*reversed(real.parents), real) if not self._may_enter(step)), None)

    def _may_enter(self, folder: Path) -> bool:
        status = folder.stat()
        if status.st_uid == self.uid:
            return bool(status.st_mode & stat.S_IXUSR)
        if status.st_gid == self.gid:
            return bool(status.st_mode & stat.S_IXGRP)
        return bool(status.st_mode & stat.S_IXOTH)


def engine_user() -> EngineUser:
    """Return the user for the engines: our own, or `nobody` when we are root.

    Raises StackError when the system doesn't know the user: PostgreSQL looks its own user up and stops without.
    """
    uid = os.geteuid()
    if uid == 0:
        return _nobody()
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        raise StackError(
            f"PostgreSQL can't run as user id {uid}: the system has no user with that id.",
            remedy="Add it to /etc/passwd, or give the services a database of yours with TENANTMESH_DATABASE_URL"
            " and start them with `tenantmesh serve`.",
        ) from None
    return EngineUser(entry.pw_name, uid, os.getegid(), switch=False)


def _nobody() -> EngineUser:
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        raise StackError(
            "PostgreSQL refuses to run as root, and this system has no user `nobody` to run it as.",
            remedy="Create one (useradd --system nobody), or start this as an ordinary user.",
        ) from None
    return EngineUser(entry.pw_name, entry.pw_uid, entry.pw_gid, switch=True)
