"""The passwords that the embedded engines are started with: random, made once, kept in a file of mode 0600."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import secrets
from pathlib import Path

from pydantic import SecretStr

from tenantmesh.deploy.embedded.errors import EmbeddedError
from tenantmesh.deploy.postgres import LOGIN_ROLES

__all__ = ["SUPERUSER", "Credentials", "scram_verifier", "write_private"]

SUPERUSER = "postgres"
_NAMES = (SUPERUSER, *LOGIN_ROLES, "valkey", "valkey_admin")


class Credentials:
    """One password for each name, read from the file when asked for; never shown by repr."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __getitem__(self, name: str) -> SecretStr:
        """The password for `name`: a database role, `valkey` or `valkey_admin`.

        Raises EmbeddedError when the file is missing or damaged.
        """
        try:
            return SecretStr(self._known()[name])
        except KeyError:
            raise EmbeddedError(
                f"{self._path} holds no password for {name}.",
                remedy="Nothing has been started there yet: tenantmesh dev",
            ) from None

    def create(self) -> None:
        """Adds the passwords that are missing. Only the holder of the state folder may do this."""
        known = self._known()
        missing = [name for name in _NAMES if name not in known]
        if missing:
            write_private(
                self._path, json.dumps(known | {name: secrets.token_urlsafe(24) for name in missing}, indent=1)
            )

    def _known(self) -> dict[str, str]:
        try:
            return dict(json.loads(self._path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return {}
        except (ValueError, TypeError):
            raise EmbeddedError(
                f"{self._path} is damaged: the engines' passwords can't be read.",
                remedy=f"Restore it, or delete {self._path.parent} to begin anew without its data.",
            ) from None


def write_private(path: Path, text: str) -> None:
    """Writes a file that only we can read (0600), whole or not at all."""
    draft = path.with_name(f"{path.name}.new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def scram_verifier(password: SecretStr, *, iterations: int = 4096) -> str:
    """What PostgreSQL stores for a password (RFC 5803). It goes into SQL instead of the password, which no log sees."""
    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.get_secret_value().encode(), salt, iterations)
    stored_key = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    return f"SCRAM-SHA-256${iterations}:{_base64(salt)}${_base64(stored_key)}:{_base64(server_key)}"


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
