"""The keys of a development stack: the first operator's, the services' own, and the one that encrypts signing keys.

Each lies in a file of mode 0600 in the state folder. The database knows only their hashes, so a new database needs new
keys, and a lost file is replaced.
"""

import base64
import secrets
from dataclasses import dataclass
from pathlib import Path

from auth_svc.api_keys.bootstrap import create_key
from deploy.embedded.blocking import run_blocking
from deploy.embedded.credentials import write_private
from deploy.embedded.postgres import Postgres
from runtime.settings import DatabaseSettings

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
KEYS = (
    OPERATOR,
    Key("tenant_svc.key", "tenant_svc", "SERVICE", ("tokens.introspect",)),
    Key("auth_svc.key", "auth_svc", "SERVICE", ("tenants.read", "tenants.list", "tenants.resolve", "tenants.watch")),
)


def ensure(state: Path, postgres: Postgres, *, renew: bool) -> None:
    """Makes what is missing, or with `renew` everything: the database is new and knows none of the old keys."""
    kek = state / KEK_FILE
    if renew or not kek.exists():
        write_private(kek, base64.b64encode(secrets.token_bytes(KEK_BYTES)).decode("ascii") + "\n")
    for key in KEYS:
        if renew or not (state / key.file).exists():
            made = run_blocking(create_key(settings(postgres), key.name, key.audience, key.permissions))
            write_private(state / key.file, made + "\n")


def settings(postgres: Postgres) -> DatabaseSettings:
    """How the bootstrap of auth_svc reaches the stack's database."""
    return DatabaseSettings(url=postgres.url("auth_app"), system_url=postgres.url("auth_directory"))
