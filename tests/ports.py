"""Ports that a test may have: free, not what the system gives to outgoing connections meanwhile, and not what a test of
another process (pytest-xdist) may have.
"""

from __future__ import annotations

import os
from collections.abc import Collection

from tenantmesh.deploy.stack.ports import PortNumbers, free, is_free
from tenantmesh.deploy.stack.programs import table

STEP = 100
"""How far apart the workers of one service listen."""

_OF_WORKERS = ("tenant", "auth", "tenant_health", "auth_health", "tenant_metrics", "auth_metrics")
"""The ports that each worker of a service has, by the name of the first one's port."""

_SHARES = 8
_WIDTH = 1_500
_PROCESS = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _SHARES
_OURS = range(20_000 + _PROCESS * _WIDTH, 20_000 + (_PROCESS + 1) * _WIDTH - STEP)


def free_port() -> int:
    """A port that is free now, and that nothing else will take before the test does."""
    return free(1, _OURS)[0]


def free_port_for_workers(*further: int) -> int:
    """The same, with the ports at these distances above it free as well."""
    while True:
        port = free_port()
        if all(is_free(port + distance) for distance in further):
            return port


def stack_ports(workers: int = 1, *, beside: Collection[int] = ()) -> PortNumbers:
    """Ports of a stack whose services have so many workers: those of every worker are free and different, and none of
    those beside which it is to be."""
    names = list(table.any_ports())
    while True:
        ports = dict(zip(names, free(len(names), _OURS), strict=True))
        further = [ports[name] + STEP * worker for name in _OF_WORKERS for worker in range(1, workers)]
        listening = [*ports.values(), *further]
        different = len({*listening, *beside}) == len(listening) + len(set(beside))
        if different and all(map(is_free, listening)):
            return PortNumbers(ports)
