"""The ports of a stack before it starts: each that can't be had is named, with another."""

from __future__ import annotations

import errno
import os
import socket
from typing import Any

import pytest

from tenantmesh.deploy.stack.errors import PortTakenError
from tenantmesh.deploy.stack.ports import PortNumbers, is_free
from tests.ports import stack_ports
from tests.unit.deploy.commands import run


def refusal(**numbers: int) -> PortTakenError:
    with pytest.raises(PortTakenError) as caught:
        PortNumbers({**stack_ports(), **numbers}).check()
    return caught.value


def test_all_taken_ports_are_named_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as first, socket.create_server(("127.0.0.1", 0)) as second:
        edge, auth = first.getsockname()[1], second.getsockname()[1]
        error = refusal(edge=edge, auth=auth)
    for port in (edge, auth):
        assert f"port {port} is in use by pid {os.getpid()}" in error.message
    assert "EDGE_PORT=" in error.remedy
    assert "AUTH_PORT=" in error.remedy
    assert "--edge-port" in error.remedy


def test_a_port_that_is_given_twice_is_found_before_anything_starts() -> None:
    port = stack_ports()["edge"]
    error = refusal(edge=port, tenant_metrics=port)
    assert error.message == f"port {port} is given to both --edge-port and --tenant-metrics-port."


def test_two_ports_are_never_told_to_move_to_the_same_number() -> None:
    port = stack_ports()["edge"]
    remedy = refusal(edge=port, tenant=port, auth=port).remedy
    chosen = [word.partition("=")[2] for word in remedy.split() if "_PORT=" in word]
    assert len(set(chosen)) == 2
    assert all(is_free(int(number)) for number in chosen)


def test_a_port_that_needs_rights_is_not_said_to_be_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    bind = socket.socket.bind

    def bound(self: socket.socket, address: Any) -> None:
        if address[1] < 1024:
            raise PermissionError(errno.EACCES, "Permission denied")
        bind(self, address)

    monkeypatch.setattr(socket.socket, "bind", bound)
    error = refusal(edge=443)
    assert error.message == "port 443 needs rights that this user does not have."
    assert "EDGE_PORT=8443" in error.remedy


def test_the_highest_port_has_a_neighbour_too() -> None:
    assert "AUTH_PORT=65525" in refusal(tenant=65535, auth=65535).remedy


def test_a_wrong_port_is_refused_by_its_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TENANTMESH_EDGE_PORT", "http")
    monkeypatch.setenv("COLUMNS", "300")
    done = run("dev")
    assert done.exit_code == 2
    assert "TENANTMESH_EDGE_PORT or EDGE_PORT" in done.output
    assert "[" not in done.output.partition("env var")[2].partition(")")[0]
