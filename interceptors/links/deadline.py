"""Link 4: every call ends. Bounds what is waited for, whatever the client asked."""

from __future__ import annotations

import time

from tenantmesh.interceptors.call import Call
from tenantmesh.interceptors.link import Link, Pending
from tenantmesh.interceptors.policy import MethodPolicy

__all__ = ["Deadline"]

DEADLINE_SLACK = 0.25
"""Seconds that the watchdog leaves to gRPC, which enforces the client's own deadline more exactly than we could."""


class Deadline(Link):
    """Gives a call the earlier of the client's deadline and the policy's maximum; without one, the policy's default."""

    def __init__(self, default: float | None = None, maximum: float | None = None) -> None:
        self._default = default
        self._maximum = maximum

    def bind(self, policy: MethodPolicy) -> Link | None:
        """A copy with the policy's seconds."""
        default = policy.default_timeout.total_seconds() if policy.default_timeout else None
        maximum = policy.max_timeout.total_seconds() if policy.max_timeout else None
        return Deadline(default, maximum)

    def enter(self, call: Call) -> Pending:
        """Sets `call.deadline` and when the watchdog acts."""
        remaining = call.context.time_remaining()
        if remaining is None:
            seconds = self._default
        elif self._maximum is not None and remaining > self._maximum:
            seconds = self._maximum
        else:
            call.deadline = time.monotonic() + remaining
            call.deadline_chosen = True
            call.cancel_at = call.deadline + DEADLINE_SLACK
            return None
        if seconds is None:
            call.cancel_at = float("inf")
        else:
            call.deadline = call.cancel_at = time.monotonic() + seconds
        return None
