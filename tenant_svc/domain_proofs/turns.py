"""The turns of tenants at the checks that run at once. Names of one tenant about which nobody answers hold up no other
tenant's."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from tenantmesh.chassis.jobs.postponed import JobPostponed
from tenantmesh.interceptors.tenants import TenantId

__all__ = ["TenantTurns"]

_SHORTEST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0


@dataclass(slots=True)
class _Line:
    """The checks of one tenant: since when each runs, how long the last one took, and when each that was sent away
    comes back."""

    since: list[float] = field(default_factory=list)
    took: float = 0.0
    back_at: dict[str, float] = field(default_factory=dict)


class TenantTurns:
    """Gives each tenant `share` checks at once in this process. A check beyond them comes back when those before it
    should have ended."""

    def __init__(self, share: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._share = share
        self._clock = clock
        self._lines: dict[TenantId, _Line] = {}

    @contextmanager
    def turn(self, tenant_id: TenantId, subject: str) -> Iterator[None]:
        """Hold a place of the tenant during the block. Raises JobPostponed while all of them are taken."""
        line = self._lines.setdefault(tenant_id, _Line())
        began = self._clock()
        if len(line.since) >= self._share:
            raise JobPostponed(self._pause(line, subject, began))
        line.back_at.pop(subject, None)
        line.since.append(began)
        try:
            yield
        finally:
            line.since.remove(began)
            line.took = self._clock() - began
            self._forget_idle(tenant_id, line)

    def _pause(self, line: _Line, subject: str, now: float) -> timedelta:
        """Return how long the checks before this one are going to take: each as long as the last one did, or as the
        oldest has run already."""
        line.back_at = _expected(line, now)
        line.back_at.pop(subject, None)
        each = max(line.took, now - min(line.since))
        seconds = min(max(_SHORTEST_PAUSE, (len(line.back_at) + 1) * each / self._share), _LONGEST_PAUSE)
        line.back_at[subject] = now + seconds
        return timedelta(seconds=seconds)

    def _forget_idle(self, tenant_id: TenantId, line: _Line) -> None:
        if not line.since and not _expected(line, self._clock()):
            self._lines.pop(tenant_id, None)


def _expected(line: _Line, now: float) -> dict[str, float]:
    """Return those that may still come back: late where the queue is long, and never where another worker took them."""
    return {subject: at for subject, at in line.back_at.items() if at > now - _LONGEST_PAUSE}
