"""The passwords of the embedded engines: random, made once, kept in a file of mode 0600."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from pathlib import Path

from pydantic import SecretStr

from tenantmesh.deploy.postgres import LOGIN_ROLES
from tenantmesh.deploy.stack.errors import StackError
from tenantmesh.deploy.stack.paths import write_private

__all__ = ["SUPERUSER", "Passwords", "scram_verifier"]

SUPERUSER = "postgres"
_NAMES = (SUPERUSER, *LOGIN_ROLES, "valkey", "valkey_admin")


class Passwords:
    """One password for each name. Each access reads the file; repr never shows one."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __getitem__(self, name: str) -> SecretStr:
        """Return the password for `name`: a database role, `valkey` or `valkey_admin`.

        Raises StackError when the file is missing or damaged.
        """
        try:
            return SecretStr(self._known()[name])
        except KeyError:
            raise StackError(
                f"{self._path} holds no password for {name}.",
                remedy="Nothing has been started there yet: tenantmesh dev",
            ) from None

    def create(self) -> None:
        """Add the passwords that are missing. Only the holder of the state folder may do this."""
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
            raise StackError(
                f"{self._path} is damaged: the engines' passwords can't be read.",
                remedy=f"Restore it, or delete {self._path.parent} to begin anew without its data.",
            ) from None


def scram_verifier(password: SecretStr, *, iterations: int = 4096) -> str:
    """Return what PostgreSQL stores for a password (RFC 5803): SQL and its log hold this instead of the password."""
    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.get_secret_value().encode(), salt, iterations)
    stored_key = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    return f"SCRAM-SHA-256${iterations}:{_base64(salt)}${_base64(stored_key)}:{_base64(server_key)}"


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
