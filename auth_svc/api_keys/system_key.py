"""A system key as it is stored, and the rules that a new one must keep. The use cases are in `api_keys`."""

from __future__ import annotations

import re
import uuid
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from tenantmesh.auth_svc.api_keys.permissions import misspelt
from tenantmesh.chassis.requests import id_problem, refuse
from tenantmesh.interceptors.caller import ALL_USAGE, Caller, CallerKind, UsageScope
from tenantmesh.interceptors.names import in_words

__all__ = ["LONGEST_LIFETIME", "KeyAudience", "SystemKey", "check_new_key", "counting", "usage_of_new"]

_NAME = re.compile(r"[a-z][a-z0-9_.-]{1,62}", re.ASCII)
_COUNTING = {"meter": {"quota.lease", "quota.allocate", "*"}, "gauge": {"quota.gauges", "*"}}
_PERMISSION = re.compile(r"\*|[a-z][a-z_]*(?:\.[a-z][a-z_]*)+", re.ASCII)


LONGEST_LIFETIME = timedelta(days=36_500)


class KeyAudience(Enum):
    """The kind of caller that a key authenticates."""

    OPERATOR = "OPERATOR"
    SERVICE = "SERVICE"


@dataclass(frozen=True, slots=True)
class SystemKey:
    """A system key. Of its secret only the hash is kept."""

    id: uuid.UUID
    name: str
    audience: KeyAudience
    permissions: tuple[str, ...]
    secret_hash: bytes
    create_time: datetime
    expire_time: datetime | None = None
    revoke_time: datetime | None = None
    usage: UsageScope = ALL_USAGE

    def is_valid(self, now: datetime) -> bool:
        """Return whether the key is neither revoked nor expired."""
        return self.revoke_time is None and (self.expire_time is None or now < self.expire_time)

    def caller(self) -> Caller:
        """Return the caller that the key authenticates."""
        return Caller(
            kind=CallerKind[self.audience.value],
            subject=self.name,
            permissions=frozenset(self.permissions),
            credential_id=str(self.id),
            expires_at=self.expire_time.timestamp() if self.expire_time else None,
            usage=self.usage,
        )


def usage_of_new(audience: KeyAudience, meters: Iterable[str] | None, gauges: Iterable[str] | None) -> UsageScope:
    """Return what a new key may count. A service's key counts what it names; an operator's counts all by default."""
    unnamed = frozenset({"*"} if audience is KeyAudience.OPERATOR else ())
    return UsageScope(
        unnamed if meters is None else frozenset(meters), unnamed if gauges is None else frozenset(gauges)
    )


def check_new_key(
    name: str, permissions: Sequence[str], lifetime: timedelta | None, usage: UsageScope = ALL_USAGE
) -> None:
    """Raise InvalidArgument, which lists all fields that break a rule."""
    wrong = [permission for permission in permissions if not _PERMISSION.fullmatch(permission)]
    too_long = f"must be positive, and at most {LONGEST_LIFETIME.days} days; leave it out for a key without an end"
    named = "must be 2 to 63 of a-z, 0-9, _, . and -, starting with a letter"
    refuse(
        {
            "name": None if _NAME.fullmatch(name) else named,
            "permissions": f"must be like tenants.read, or *: {in_words(wrong)}" if wrong else _misspelt(permissions),
            "lifetime": None if lifetime is None or timedelta() < lifetime <= LONGEST_LIFETIME else too_long,
            "meters": _usage_problem("meter", usage.meters, permissions),
            "gauges": _usage_problem("gauge", usage.gauges, permissions),
        }
    )


def counting(kind: str, permissions: Iterable[str]) -> list[str]:
    """Return those of the permissions with which a key counts features of the kind, `meter` or `gauge`."""
    return [permission for permission in permissions if permission in _COUNTING[kind]]


def _usage_problem(kind: str, named: Collection[str], permissions: Sequence[str]) -> str | None:
    """Return the rule that the features of a kind break, or None."""
    wrong = sorted(each for each in named if each != "*" and id_problem(each))
    if wrong:
        return f"must be ids of features, or *: {in_words(wrong)}"
    needing = counting(kind, permissions)
    if named or not needing:
        return None
    return f"must be named with {in_words(needing)}: each (--{kind}), or all (--{kind} '*')"


def _misspelt(permissions: Sequence[str]) -> str | None:
    return " ".join(filter(None, map(misspelt, permissions))) or None
