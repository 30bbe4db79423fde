"""A user, and the records of a user that hold a password hash. The use cases are in `accounts`."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import NewType

from tenantmesh.interceptors.tenants import TenantId

__all__ = ["NewAccount", "PasswordCredential", "User", "UserId"]

UserId = NewType("UserId", uuid.UUID)


@dataclass(frozen=True, slots=True)
class User:
    """A person with an account in one tenant."""

    id: UserId
    tenant_id: TenantId
    email: str
    """The e-mail address as the person wrote it."""
    display_name: str
    roles: tuple[str, ...]
    epoch: int
    """The revocation epoch, which goes into access tokens."""
    create_time: datetime


@dataclass(frozen=True, slots=True)
class NewAccount:
    """A user to be stored. The normalised address and the hash never leave the database."""

    user: User
    email_normalised: str
    password_hash: str

    def __repr__(self) -> str:
        return f"NewAccount(user={self.user.id})"


@dataclass(frozen=True, slots=True)
class PasswordCredential:
    """A user and the hash of the user's password."""

    user: User
    password_hash: str

    def __repr__(self) -> str:
        return f"PasswordCredential(user={self.user.id})"
