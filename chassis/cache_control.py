"""The `cache-control` and `etag` of answers. They are initial metadata, which REST callers see as headers."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, TypeAlias

import grpc

__all__ = ["ServicerContext", "cache_for", "forbid_caching"]

ServicerContext: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


async def cache_for(context: ServicerContext, age: timedelta, *, etag: str = "") -> None:
    """Let every cache keep the answer for this time. `etag` tells this content from others."""
    # A weak one: the edge may compress the answer.
    tag = (("etag", f'W/"{etag}"'),) if etag else ()
    await context.send_initial_metadata((("cache-control", f"public, max-age={int(age.total_seconds())}"), *tag))


async def forbid_caching(context: ServicerContext) -> None:
    """Let no cache keep the answer, as RFC 6749 asks for tokens."""
    await context.send_initial_metadata((("cache-control", "no-store"),))
