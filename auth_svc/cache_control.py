"""The `cache-control` of answers. It is sent as initial metadata, which REST callers and browsers see as a header."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, TypeAlias

import grpc

__all__ = ["ServicerContext", "cache_for", "forbid_caching"]

ServicerContext: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


async def cache_for(context: ServicerContext, age: timedelta) -> None:
    """Let every cache keep the answer for this time."""
    await _send(context, f"public, max-age={int(age.total_seconds())}")


async def forbid_caching(context: ServicerContext) -> None:
    """Let no cache keep the answer, as RFC 6749 asks for tokens."""
    await _send(context, "no-store")


async def _send(context: ServicerContext, directives: str) -> None:
    await context.send_initial_metadata((("cache-control", directives),))
