"""The keys of a development stack: the first operator's API key, one for each program that has permissions, and the
key that encrypts signing keys.

Each lies in a file of mode 0600 in the state folder. The database holds only their hashes, so a new database needs new
keys, and a lost file is replaced. So is a key that was made for an older version, with other permissions.
"""

from __future__ import annotations

import base64
import secrets
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tenantmesh.auth_svc.api_keys.bootstrap import create_key, list_keys, permissions_of, revoke_key
from tenantmesh.deploy.stack.blocking import run_blocking
from tenantmesh.deploy.stack.engines.postgres import Postgres
from tenantmesh.deploy.stack.paths import Places, write_private
from tenantmesh.deploy.stack.programs.table import python_programs
from tenantmesh.runtime.settings import DatabaseSettings

__all__ = ["Key", "api_keys", "ensure", "id_of", "problem", "settings"]

_KEK_BYTES = 32


@dataclass(frozen=True, slots=True)
class Key:
    """An API key that a stack needs; its name also names its file."""

    name: str
    audience: str
    permissions: tuple[str, ...]


_OPERATOR = Key("operator", "OPERATOR", ("*",))


def api_keys() -> list[Key]:
    """Return the API keys that a stack needs."""
    programs = [
        Key(program.name, "SERVICE", program.permissions) for program in python_programs() if program.permissions
    ]
    return [_OPERATOR, *programs]


def ensure(places: Places, postgres: Postgres, *, renew: bool) -> None:
    """Make the keys that are missing. `renew` makes all of them: a new database holds none of the old keys."""
    if renew or not places.signing_kek.exists():
        kek = base64.b64encode(secrets.token_bytes(_KEK_BYTES)).decode("ascii")
        write_private(places.signing_kek, kek + "\n")
    granted = {} if renew else _granted(postgres)
    for key in api_keys():
        file = places.key(key.name)
        known = _id(file)
        if known in granted and granted[known] == set(key.permissions):
            continue
        made = run_blocking(create_key(settings(postgres), key.name, key.audience, key.permissions))
        write_private(file, made + "\n")
        if known in granted:
            run_blocking(revoke_key(settings(postgres), known))


def settings(postgres: Postgres) -> DatabaseSettings:
    """Return how auth_svc's bootstrap reaches the stack's database."""
    return DatabaseSettings(url=postgres.url("auth_app"), system_url=postgres.url("auth_directory"))


def _granted(postgres: Postgres) -> dict[uuid.UUID, set[str]]:
    """Return the permissions of each valid key that the database holds, by the key's id."""
    found, now = run_blocking(list_keys(settings(postgres))), datetime.now(UTC)
    return {key.id: set(key.permissions) for key in found if key.is_valid(now)}


def problem(places: Places, postgres: Postgres, key: Key) -> str:
    """Return a phrase that says why services refuse the key in its file; empty when they accept it."""
    try:
        text = places.key(key.name).read_text(encoding="utf-8").strip()
    except OSError as error:
        return f"the file can't be read: {error.strerror}"
    granted = run_blocking(permissions_of(settings(postgres), text))
    if granted is None:
        return "the key is unknown, expired or revoked"
    missing = set() if "*" in granted else set(key.permissions) - granted
    return f"the key lacks {', '.join(sorted(missing))}" if missing else ""


def id_of(key: str) -> uuid.UUID:
    """Return the id in a key's text. Raises ValueError or IndexError for a text that is no key."""
    return uuid.UUID(key.strip().split("_")[1])


def _id(file: Path) -> uuid.UUID | None:
    """Return the id of the key in the file, or None where there is none."""
    try:
        return id_of(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, IndexError):
        return None
