"""Every call ends: bounds the time of a call, whatever its client asked for."""

from __future__ import annotations

from time import monotonic

from tenantmesh.interceptors.errors import DeadlineExceeded
from tenantmesh.interceptors.link import Moments
from tenantmesh.interceptors.passage import Passage, Waiting
from tenantmesh.interceptors.policy import MethodPolicy

__all__ = ["Deadline"]

DEADLINE_SLACK = 0.25
"""Seconds that the watchdog leaves to gRPC, which enforces the client's own deadline more exactly than we could."""


class Deadline:
    """Gives a call the earlier of the client's deadline and the policy's maximum; without one, the policy's default."""

    def bind(self, policy: MethodPolicy) -> Moments:
        """As `Link.bind`."""
        return Moments(enter=_BoundDeadline(policy).enter)


class _BoundDeadline:
    def __init__(self, policy: MethodPolicy) -> None:
        self._default = policy.default_timeout.total_seconds() if policy.default_timeout else None
        self._maximum = policy.max_timeout.total_seconds() if policy.max_timeout else None

    def enter(self, call: Passage) -> Waiting:
        """Set `call.deadline`, and `call.cancel_at` for the watchdog."""
        remaining = call.context.time_remaining()
        if remaining is None:
            seconds = self._default
        elif remaining <= 0:  # it came late, or waited for the loop: nobody reads the answer
            raise DeadlineExceeded("DEADLINE_EXCEEDED", "The call exceeded its deadline. Retry.")
        elif self._maximum is not None and remaining > self._maximum:
            seconds = self._maximum
        else:
            call.deadline = monotonic() + remaining
            call.deadline_chosen = True
            call.cancel_at = call.deadline + DEADLINE_SLACK
            return None
        if seconds is None:
            call.cancel_at = float("inf")
        else:
            call.deadline = call.cancel_at = monotonic() + seconds
        return None
