"""The folders and files of a stack, and who may read them.

    .tenantmesh/            ours alone: secrets, logs, the record of what runs
        data/               the engine user's: pg18/, valkey/, sockets/

For root the engines run as another user. That user must get to `data/`: it is let through `.tenantmesh/` by its group
where it can get that far, and otherwise `data` is a link to a folder below /var/lib/tenantmesh.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tenantmesh.deploy.stack.engine_user import EngineUser
from tenantmesh.deploy.stack.errors import StackError
from tenantmesh.deploy.stack.state_folder import is_state_folder, mark

__all__ = [
    "SOCKET_NAME",
    "SOCKET_PATH_LIMIT",
    "SYSTEM_FOLDER",
    "Places",
    "discard",
    "folders",
    "locate",
    "orphans",
    "prepare",
    "write_private",
]

SYSTEM_FOLDER = Path("/var/lib/tenantmesh")
SOCKET_NAME = ".s.PGSQL.5432"  # the longest name of a socket of ours
SOCKET_PATH_LIMIT = 103 if sys.platform == "darwin" else 107


@dataclass(frozen=True, slots=True)
class Places:
    """The folders of one stack."""

    state: Path
    data: Path
    sockets: Path
    logs: Path

    @property
    def passwords(self) -> Path:
        """The passwords of the engines."""
        return self.state / "credentials.json"

    @property
    def operator_key(self) -> Path:
        """The first operator's API key."""
        return self.key("operator")

    @property
    def signing_kek(self) -> Path:
        """The key that encrypts signing keys."""
        return self.state / "signing-keys.kek"

    @property
    def proof_kek(self) -> Path:
        """The key that encrypts the keys that sign proofs of purges."""
        return self.state / "purge-keys.kek"

    @property
    def edge_socket(self) -> Path:
        """The socket of Envoy's own interface."""
        return self.sockets / "envoy.sock"

    def key(self, name: str) -> Path:
        """Return the file of an API key."""
        return self.state / f"{name}.key"

    def log(self, name: str) -> Path:
        """Return the log of the program with this name."""
        return self.logs / f"{name}.log"


def prepare(state: Path, user: EngineUser) -> Places:
    """Make the folders, each with the narrowest rights that work. Safe to repeat.

    Raises StackError when a folder belongs to somebody else or can't be made, or when the state folder holds files that
    are not a stack's: a reset would delete them.
    """
    state = state.absolute()
    try:
        _refuse_foreign(state)
        _own_folder(state)
        mark(state)
        data = _data_folder(state, user)
        sockets = _socket_folder(data, user)
        logs = state / "logs"
        _own_folder(logs)
    except OSError as error:
        raise StackError(
            f"Can't set up {error.filename}: {error.strerror}.", remedy="Choose another state folder with --state."
        ) from error
    return Places(state, data, sockets, logs)


def locate(state: Path, user: EngineUser) -> Places:
    """Return where a stack's folders are, by the same rules as `prepare`, without making or checking any."""
    state = state.absolute()
    link = state / "data"
    linked = link.is_symlink() and link.readlink().parent == SYSTEM_FOLDER  # any other link is somebody else's
    data = link.readlink() if linked else link
    return Places(state, data, _socket_place(data, user), state / "logs")


def discard(places: Places) -> None:
    """Delete a stack's data, sockets and secrets for good. None of its processes may run."""
    for path in folders(places):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def folders(places: Places) -> tuple[Path, ...]:
    """Return everything on disk that belongs to a stack."""
    return (places.sockets, places.data, _note_of(places.data), places.state)


def orphans() -> list[Path]:
    """Return the data folders below SYSTEM_FOLDER whose state folder is gone: somebody deleted it by hand."""
    found = []
    for note in SYSTEM_FOLDER.glob("data-*.state"):
        data = note.with_suffix("")
        link = Path(note.read_text(encoding="utf-8")) / "data"
        if not link.is_symlink() or link.readlink() != data:
            found.append(data)
    return found


def write_private(path: Path, text: str) -> None:
    """Write a file that only this user can read (0600), whole or not at all."""
    draft = path.with_name(f"{path.name}.new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def _refuse_foreign(state: Path) -> None:
    if state.exists() and not is_state_folder(state) and (not state.is_dir() or any(state.iterdir())):
        raise StackError(
            f"{state} is not empty and is no state folder of tenantmesh.",
            remedy="Choose a new or empty folder with --state.",
        )


def _own_folder(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    owner = folder.stat().st_uid
    if owner != os.geteuid():
        raise StackError(
            f"{folder} belongs to user id {owner}, not to you.",
            remedy="Run this as its owner, remove it, or choose another state folder with --state.",
        )
    folder.chmod(0o700)


def _data_folder(state: Path, user: EngineUser) -> Path:
    data = state / "data"
    blocked = user.blocked_at(state.parent)
    if blocked and data.is_dir() and not data.is_symlink():
        raise StackError(
            f"The data in {data} can't be reached by user `{user.name}`, since {blocked} is closed to it.",
            remedy=f"Open the way (chmod o+x {blocked}), or move {data} away to begin anew.",
        )
    if blocked:
        return _engine_folder(_linked(data), user)
    if user.switch:
        os.chown(state, -1, user.gid)
        state.chmod(0o710)  # the engines' group may pass through; nobody may list
    return _engine_folder(data, user)


def _linked(data: Path) -> Path:
    """Return the folder below SYSTEM_FOLDER that `data` links to. The first use makes the link."""
    _system_folder()
    if not data.is_symlink():
        data.symlink_to(SYSTEM_FOLDER / f"data-{secrets.token_hex(6)}")
    _note_of(data.readlink()).write_text(str(data.parent), encoding="utf-8")  # again each time: a checkout may move
    return data.readlink()


def _note_of(data: Path) -> Path:
    """Return the file that names the state folder of a data folder below SYSTEM_FOLDER."""
    return data.with_name(f"{data.name}.state")


def _system_folder() -> None:
    SYSTEM_FOLDER.mkdir(mode=0o755, parents=True, exist_ok=True)
    SYSTEM_FOLDER.chmod(0o755)


def _engine_folder(folder: Path, user: EngineUser) -> Path:
    if not folder.exists():
        folder.mkdir(mode=0o700)
        user.give(folder)
    status = folder.stat()
    if status.st_uid != user.uid:
        raise StackError(
            f"{folder} belongs to user id {status.st_uid}; the engines would run as `{user.name}` and can't use it.",
            remedy="Run this as the user who made it, or choose another state folder with --state.",
        )
    folder.chmod(0o700)
    return folder


def _socket_place(data: Path, user: EngineUser) -> Path:
    """Return where the sockets are: beside the data, or where their path is short enough."""
    sockets = data / "sockets"
    if len(os.fsencode(sockets / SOCKET_NAME)) <= SOCKET_PATH_LIMIT:
        return sockets
    name = f"tenantmesh-{user.uid}-{hashlib.sha256(os.fsencode(data.resolve())).hexdigest()[:10]}"
    if user.switch:  # root never uses a folder in which others may plant names
        return SYSTEM_FOLDER / name
    return Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()) / name


def _socket_folder(data: Path, user: EngineUser) -> Path:
    short = _socket_place(data, user)
    if short.parent == SYSTEM_FOLDER:
        _system_folder()
    if short.is_symlink():
        raise StackError(f"{short} is a link that somebody planted.", remedy=f"Remove it: rm {short}")
    if len(os.fsencode(short / SOCKET_NAME)) > SOCKET_PATH_LIMIT:
        raise StackError(
            f"{short} is too long for a socket's path.", remedy="Set TMPDIR to a short path, for example /tmp."
        )
    return _engine_folder(short, user)
