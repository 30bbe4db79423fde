"""Ports: which are free, and what is said of one that is not."""

from __future__ import annotations

import dataclasses
import os
import socket

import pytest

from tenantmesh.deploy.embedded.errors import PortTakenError
from tenantmesh.deploy.embedded.ports import NAMES, Ports, is_free


def test_a_taken_port_is_named_with_its_holder_and_the_way_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert not is_free(port)
        ports = Ports(
            edge=port, tenant=0, auth=0, admin=0, tenant_metrics=0, auth_metrics=0, worker_metrics=0
        ).settled()
        with pytest.raises(
            PortTakenError, match=rf"port {port} is in use by pid {os.getpid()} .*make run EDGE_PORT=\d+"
        ):
            ports.check()


def test_zeros_become_different_free_ports() -> None:
    ports = Ports.any().settled()
    chosen = set(dataclasses.astuple(ports))
    assert len(chosen) == len(NAMES)
    assert 0 not in chosen
    ports.check()
