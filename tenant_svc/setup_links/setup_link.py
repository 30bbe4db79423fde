"""A set-up link: its fields, its secret, and the rules that apply to it."""

from __future__ import annotations

import re
import secrets
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from hashlib import sha256

from tenantmesh.chassis.requests import reason_problem, refuse, required
from tenantmesh.interceptors import base64url
from tenantmesh.interceptors.tenants import TenantId

__all__ = ["LinkState", "LinkToken", "NewSetupLink", "SetupIntent", "SetupLink"]

_SHORTEST_LIFETIME, _LONGEST_LIFETIME = timedelta(seconds=1), timedelta(hours=1)
_PREFIX = "tml_"
_SECRET_BYTES = 32
_FORM = re.compile(rf"{_PREFIX}([A-Za-z0-9_-]{{43}})", re.ASCII)


class SetupIntent(Enum):
    """The step that a link is for."""

    LOGIN_HOST = "LOGIN_HOST"
    EMAIL_DOMAIN = "EMAIL_DOMAIN"


class LinkState(Enum):
    """Whether a link can be used."""

    OPEN = "OPEN"
    USED = "USED"
    REVOKED = "REVOKED"
    EXPIRED = "EXPIRED"


@dataclass(frozen=True, slots=True)
class LinkToken:
    """The secret of a link, as a text. Only its hash is stored."""

    text: str

    @classmethod
    def new(cls) -> LinkToken:
        """Make a secret of 256 bits."""
        return cls(_PREFIX + base64url.encode(secrets.token_bytes(_SECRET_BYTES)))

    @classmethod
    def parse(cls, text: str) -> LinkToken | None:
        """Return the token that the text spells, or None. A token has one spelling."""
        form = _FORM.fullmatch(text)
        if form is None:
            return None
        try:
            base64url.decode(form[1])
        except ValueError:
            return None
        return cls(text)

    @property
    def hash(self) -> bytes:
        """The part of it that is stored."""
        return sha256(self.text.encode("ascii")).digest()


@dataclass(frozen=True, slots=True)
class SetupLink:
    """A link as it is stored.

    key_id: the API key that made it; None for one that a user made, or from before keys were kept.
    read_time: the database's clock when it was read.
    """

    tenant_id: TenantId
    id: uuid.UUID
    intent: SetupIntent
    note: str
    actor: str
    create_time: datetime
    expire_time: datetime
    use_time: datetime | None
    revoke_time: datetime | None
    result: str
    read_time: datetime = field(compare=False)
    key_id: uuid.UUID | None = None

    @property
    def state(self) -> LinkState:
        """Whether it could be used when it was read."""
        if self.use_time is not None:
            return LinkState.USED
        if self.revoke_time is not None:
            return LinkState.REVOKED
        return LinkState.OPEN if self.read_time < self.expire_time else LinkState.EXPIRED

    @property
    def acting(self) -> str:
        """The actor of a change that is made through the link."""
        return f"through link {self.id} by {self.actor}"


@dataclass(frozen=True, slots=True)
class NewSetupLink:
    """A link that does not exist yet."""

    intent: SetupIntent
    note: str
    lifetime: timedelta

    @classmethod
    def checked(cls, *, intent: SetupIntent | None, note: str, lifetime: timedelta) -> NewSetupLink:
        """Check the rules. Raises InvalidArgument that names every field at fault."""
        fits = _SHORTEST_LIFETIME <= lifetime <= _LONGEST_LIFETIME
        refuse(
            {
                "intent": "must be a step that links are for" if intent is None else None,
                "note": reason_problem(note),
                "lifetime": None if fits else "must be between 1 second and 1 hour",
            }
        )
        return cls(required(intent), note, lifetime)
