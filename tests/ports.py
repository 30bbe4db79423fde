"""Ports that a test may have: free, and not what the system gives to outgoing connections meanwhile."""

from __future__ import annotations

import socket
from contextlib import ExitStack

from tenantmesh.deploy.stack.ports import LOOPBACK
from tenantmesh.deploy.stack.programs.table import any_ports

STEP = 100
"""How far apart the workers of one service listen."""


def free_port() -> int:
    """A port that is free now, and that no outgoing connection will take before the test does."""
    return any_ports().settled()["edge"]


def free_port_for_workers(*further: int) -> int:
    """The same, with the ports at these distances above it free as well."""
    while True:
        port = free_port()
        with ExitStack() as held:
            try:
                for distance in further:
                    held.enter_context(socket.create_server((LOOPBACK, port + distance)))
            except OSError:
                continue
            return port
