"""The keys of a development stack: the first operator's API key, one for each program that has permissions, and the
keys that encrypt signing keys.

Each lies in a file of mode 0600 in the state folder. The database holds only their hashes, so a new database needs new
keys, and a lost file is replaced. So is a key that was made for an older version, with other permissions, meters or
gauges.
"""

from __future__ import annotations

import base64
import secrets
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tenantmesh.auth_svc.api_keys.bootstrap import caller_of, create_key, list_keys, revoke_key
from tenantmesh.deploy.stack.blocking import run_blocking
from tenantmesh.deploy.stack.engines.postgres import Postgres
from tenantmesh.deploy.stack.paths import Places, write_private
from tenantmesh.deploy.stack.programs.table import python_programs
from tenantmesh.interceptors.caller import ALL_USAGE, UsageScope
from tenantmesh.runtime.settings import DatabaseSettings

__all__ = ["Key", "api_keys", "ensure", "id_of", "problem", "settings"]

_KEK_BYTES = 32


@dataclass(frozen=True, slots=True)
class Key:
    """An API key that a stack needs; its name also names its file."""

    name: str
    audience: str
    permissions: tuple[str, ...]
    usage: UsageScope

    @property
    def granted(self) -> _Granted:
        """Its permissions and its usage, as the database must hold them."""
        return frozenset(self.permissions), self.usage


_Granted = tuple[frozenset[str], UsageScope]
_OPERATOR = Key("operator", "OPERATOR", ("*",), ALL_USAGE)


def api_keys() -> list[Key]:
    """Return the API keys that a stack needs."""
    programs = [
        Key(program.name, "SERVICE", program.permissions, program.usage)
        for program in python_programs()
        if program.permissions
    ]
    return [_OPERATOR, *programs]


def ensure(places: Places, postgres: Postgres, *, renew: bool) -> None:
    """Make the keys that are missing. `renew` makes all of them: a new database holds none of the old keys."""
    for file in (places.signing_kek, places.proof_kek):
        if renew or not file.exists():
            kek = base64.b64encode(secrets.token_bytes(_KEK_BYTES)).decode("ascii")
            write_private(file, kek + "\n")
    granted = {} if renew else _granted(postgres)
    for key in api_keys():
        file = places.key(key.name)
        known = _id(file)
        if known in granted and granted[known] == key.granted:
            continue
        write_private(file, run_blocking(_created(postgres, key)) + "\n")
        if known in granted:
            run_blocking(revoke_key(settings(postgres), known))


async def _created(postgres: Postgres, key: Key) -> str:
    database, usage = settings(postgres), key.usage
    return await create_key(database, key.name, key.audience, key.permissions, meters=usage.meters, gauges=usage.gauges)


def settings(postgres: Postgres) -> DatabaseSettings:
    """Return how auth_svc's bootstrap reaches the stack's database."""
    return DatabaseSettings(url=postgres.url("auth_app"), system_url=postgres.url("auth_directory"))


def _granted(postgres: Postgres) -> dict[uuid.UUID, _Granted]:
    """Return what each valid key that the database holds may do, by the key's id."""
    found, now = run_blocking(list_keys(settings(postgres))), datetime.now(UTC)
    return {key.id: (frozenset(key.permissions), key.usage) for key in found if key.is_valid(now)}


def problem(places: Places, postgres: Postgres, key: Key) -> str:
    """Return a phrase that says why services refuse the key in its file; empty when they accept it."""
    try:
        text = places.key(key.name).read_text(encoding="utf-8").strip()
    except OSError as error:
        return f"the file can't be read: {error.strerror}"
    found = run_blocking(caller_of(settings(postgres), text))
    if found is None:
        return "the key is unknown, expired or revoked"
    missing = [*_missing("", key.permissions, found.permissions)]
    missing += _missing("the meter ", key.usage.meters, found.usage.meters)
    missing += _missing("the gauge ", key.usage.gauges, found.usage.gauges)
    return f"the key lacks {', '.join(missing)}" if missing else ""


def _missing(kind: str, needed: Iterable[str], granted: frozenset[str]) -> list[str]:
    return [] if "*" in granted else [f"{kind}{name}" for name in sorted(set(needed) - granted)]


def id_of(key: str) -> uuid.UUID:
    """Return the id in a key's text. Raises ValueError or IndexError for a text that is no key."""
    return uuid.UUID(key.strip().split("_")[1])


def _id(file: Path) -> uuid.UUID | None:
    """Return the id of the key in the file, or None where there is none."""
    try:
        return id_of(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, IndexError):
        return None
