"""A signing key as it is stored, and when keys are made, published and retired: pure functions of keys and time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

__all__ = ["RELOAD_EVERY", "KeySchedule", "Signer", "SigningKey"]

RELOAD_EVERY = timedelta(seconds=60)
"""How often each process reads the keys: it publishes a key of another process this much later at most."""
_CLOCKS_DIFFER = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A signing key. The private part is sealed; the context of the seal is the kid."""

    kid: str
    public: bytes
    sealed_private: bytes
    create_time: datetime
    activate_time: datetime


class Signer(Protocol):
    """Knows the key that signs now: the key ring."""

    def signer(self) -> tuple[str, Ed25519PrivateKey]:
        """Must return the kid and the private key that sign now. Raises Unavailable while no key is active."""
        ...


@dataclass(frozen=True, slots=True)
class KeySchedule:
    """When keys take over from each other. A key is published before it signs, so that verifiers have it in time.

    valid_for: how long a signature is good. A key is published as long as one of its signatures is. None: for ever.
    """

    sign_for: timedelta = timedelta(days=30)
    publish_before: timedelta = timedelta(minutes=10)
    valid_for: timedelta | None = None

    @property
    def cached_for(self) -> timedelta:
        """How long a cache may keep the published keys, so that it has every key before the key signs."""
        return max(timedelta(), self.publish_before - RELOAD_EVERY - _CLOCKS_DIFFER)

    def next_activation(self, keys: Sequence[SigningKey], now: datetime) -> datetime | None:
        """Return when a key that is made now begins to sign, or None while none is needed. The first signs at once."""
        if not keys:
            return now
        newest = max(key.activate_time for key in keys)
        due = newest + self.sign_for
        return max(due, now + self.publish_before) if due - self.publish_before <= now else None

    def published(self, keys: Sequence[SigningKey], now: datetime) -> list[SigningKey]:
        """Return the keys that verifiers need, oldest first: a key is retired once its last signature is void."""
        ordered = sorted(keys, key=lambda key: (key.activate_time, key.kid))
        if self.valid_for is None:
            return ordered
        grace = self.valid_for + _CLOCKS_DIFFER
        current = [key for key, successor in pairwise(ordered) if successor.activate_time + grace > now]
        return current + ordered[-1:]
