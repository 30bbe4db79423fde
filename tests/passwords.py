"""Passwords that are accepted, and a cheap hasher that counts its work."""

from __future__ import annotations

from typing import Any

from argon2 import PasswordHasher

GOOD_PASSWORD = "harbour violet cactus 71 engine"
OTHER_PASSWORD = "quilted thunder 88 marmot garden"


class CountingHasher(PasswordHasher):
    """Cheap, and counts how often it worked."""

    def __init__(self, time_cost: int = 1) -> None:
        super().__init__(time_cost=time_cost, memory_cost=8, parallelism=1)
        self.work = 0

    def begin(self) -> None:
        """Called before each piece of work."""
        self.work += 1

    def hash(self, password: str | bytes, *, salt: bytes | None = None) -> str:
        self.begin()
        return super().hash(password, salt=salt)

    def verify(self, hash: str | bytes, password: str | bytes) -> Any:
        self.begin()
        return super().verify(hash, password)
