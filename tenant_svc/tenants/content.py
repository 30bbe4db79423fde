"""The contents of a tenant, counted: those that a deletion or a purge would destroy."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from tenantmesh.interceptors.tenants import TenantId

__all__ = ["Content", "ContentKind", "Contents"]


class ContentKind(Enum):
    """The kinds of contents."""

    ROWS = "ROWS"
    SESSIONS = "SESSIONS"
    CREDENTIALS = "CREDENTIALS"
    STORE_KEYS = "STORE_KEYS"
    JOBS = "JOBS"
    FILES = "FILES"


@dataclass(frozen=True, slots=True)
class Content:
    """One kind of thing that a tenant consists of. `name` says which, such as a table with its schema."""

    kind: ContentKind
    name: str
    count: int


Contents = Callable[[TenantId], Awaitable[Sequence[Content]]]
"""Counts what a tenant consists of. Raises Unavailable while a part of it can't be asked."""
