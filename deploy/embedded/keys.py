"""The keys of a development stack: the first operator's, the services' own, and the one that encrypts signing keys.

Each lies in a file of mode 0600 in the state folder. The database knows only their hashes, so a new database needs new
keys, and a lost file is replaced. So is a key that was made for an older version, with other permissions.
"""

from __future__ import annotations

import base64
import secrets
import uuid
from dataclasses import dataclass
from pathlib import Path

from tenantmesh.auth_svc.api_keys.bootstrap import create_key, list_keys, revoke_key
from tenantmesh.deploy.embedded.blocking import run_blocking
from tenantmesh.deploy.embedded.credentials import write_private
from tenantmesh.deploy.embedded.postgres import Postgres
from tenantmesh.runtime.settings import DatabaseSettings

__all__ = ["KEK_FILE", "KEYS", "Key", "ensure", "settings"]

KEK_FILE = "signing-keys.kek"
KEK_BYTES = 32


@dataclass(frozen=True, slots=True)
class Key:
    """An API key that a stack needs, and the file it lies in."""

    file: str
    name: str
    audience: str
    permissions: tuple[str, ...]


OPERATOR = Key("operator.key", "operator", "OPERATOR", ("*",))
LIMITS = ("entitlements.read", "entitlements.watch", "quota.lease")
"""What a service's chain asks tenant_svc to know what a tenant may do and how much of it."""
TENANTS = ("tenants.read", "tenants.list", "tenants.resolve", "tenants.watch")
KEYS = (
    OPERATOR,
    Key("tenant_svc.key", "tenant_svc", "SERVICE", ("tokens.introspect", *LIMITS)),
    Key("auth_svc.key", "auth_svc", "SERVICE", (*TENANTS, *LIMITS, "quota.gauges")),
)


def ensure(state: Path, postgres: Postgres, *, renew: bool) -> None:
    """Makes what is missing, or with `renew` everything: the database is new and knows none of the old keys."""
    kek = state / KEK_FILE
    if renew or not kek.exists():
        write_private(kek, base64.b64encode(secrets.token_bytes(KEK_BYTES)).decode("ascii") + "\n")
    granted = {} if renew else _granted(postgres)
    for key in KEYS:
        known = _id(state / key.file)
        if known in granted and granted[known] == set(key.permissions):
            continue
        made = run_blocking(create_key(settings(postgres), key.name, key.audience, key.permissions))
        write_private(state / key.file, made + "\n")
        if known in granted:
            run_blocking(revoke_key(settings(postgres), known))


def settings(postgres: Postgres) -> DatabaseSettings:
    """How the bootstrap of auth_svc reaches the stack's database."""
    return DatabaseSettings(url=postgres.url("auth_app"), system_url=postgres.url("auth_directory"))


def _granted(postgres: Postgres) -> dict[uuid.UUID, set[str]]:
    """What the keys that the database knows may do, by their ids."""
    return {key.id: set(key.permissions) for key in run_blocking(list_keys(settings(postgres)))}


def _id(file: Path) -> uuid.UUID | None:
    """The id of the key in the file, None where there is none."""
    try:
        return uuid.UUID(file.read_text(encoding="utf-8").strip().split("_")[1])
    except (OSError, ValueError, IndexError):
        return None
