"""PortNumbers: which are free, and what is said of one that is not."""

from __future__ import annotations

import os
import socket

import pytest

from tenantmesh.deploy.stack.errors import PortTakenError
from tenantmesh.deploy.stack.ports import PortNumbers, is_free
from tenantmesh.deploy.stack.programs import table
from tenantmesh.deploy.stack.programs.table import any_ports


def test_a_taken_port_is_named_with_its_holder_and_the_way_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert not is_free(port)
        ports = PortNumbers({**any_ports(), "edge": port}).settled()
        with pytest.raises(
            PortTakenError, match=rf"port {port} is in use by pid {os.getpid()} .*make run EDGE_PORT=\d+"
        ):
            ports.check()


def test_zeros_become_different_free_ports() -> None:
    ports = any_ports().settled()
    chosen = set(ports.values())
    assert len(chosen) == len(table.ports())
    assert 0 not in chosen
    ports.check()
