"""The refusals of names and of checks, with what the caller does next."""

from __future__ import annotations

from datetime import timedelta

from tenantmesh.interceptors.errors import ResourceExhausted

__all__ = ["check_too_soon"]


def check_too_soon(noun: str, wait: timedelta) -> ResourceExhausted:
    """Return the refusal of a second check within the pause."""
    return ResourceExhausted(
        "CHECK_TOO_SOON",
        f"A check of this {noun} was asked for a moment ago. Read its proof, or retry after the delay in RetryInfo.",
        retry_after=wait,
    )
