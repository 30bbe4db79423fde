"""The ports of a stack before it starts: each that can't be had is named, with another."""

from __future__ import annotations

import errno
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tenantmesh.deploy.stack.errors import PortTakenError
from tenantmesh.deploy.stack.ports import PortNumbers, is_free
from tenantmesh.deploy.stack.programs import table
from tests.ports import STEP, free_port, free_port_for_workers, stack_ports
from tests.unit.deploy.commands import run


def refusal(**numbers: int) -> PortTakenError:
    """The refusal of a stack with these ports. Its others are none of them."""
    with pytest.raises(PortTakenError) as caught:
        PortNumbers({**stack_ports(beside=set(numbers.values())), **numbers}).check()
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
    port = free_port()
    error = refusal(edge=port, tenant_metrics=port)
    assert error.message == f"port {port} is given to both --edge-port and --tenant-metrics-port."


def test_two_ports_are_never_told_to_move_to_the_same_number() -> None:
    port = free_port()
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


@pytest.fixture
def taken_by_a_worker(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A free port such that the one of a second worker, beyond it, is in use."""
    port = free_port_for_workers(STEP)
    monkeypatch.setenv("TENANTMESH_SERVER_WORKERS", "2")
    with socket.create_server(("127.0.0.1", port + STEP)):
        yield port


def with_two_workers(name: str, port: int) -> PortNumbers:
    """The ports of a stack that has this one, and none but it that the workers there listen at."""
    return PortNumbers({**stack_ports(2, beside=(port, port + STEP)), name: port})


@pytest.mark.parametrize("name", ["tenant", "auth_metrics"])
def test_the_ports_of_further_workers_are_examined_too(taken_by_a_worker: int, name: str) -> None:
    with pytest.raises(PortTakenError) as caught:
        table.check_ports(with_two_workers(name, taken_by_a_worker))
    option = f"--{name.replace('_', '-')}-port"
    assert f"port {taken_by_a_worker + STEP} is in use by pid {os.getpid()}" in caught.value.message
    assert f"where worker 1 of {option} listens" in caught.value.message
    chosen = int(caught.value.remedy.partition(f"tenantmesh dev {option} ")[2].removesuffix(")"))
    assert is_free(chosen)
    assert is_free(chosen + STEP)


def test_doctor_examines_the_ports_of_further_workers(
    taken_by_a_worker: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TENANTMESH_STATE", str(tmp_path / "state"))
    ports = with_two_workers("tenant", taken_by_a_worker)
    options = [part for name, number in ports.items() for part in (f"--{name.replace('_', '-')}-port", str(number))]
    findings = {finding["what"]: finding for finding in json.loads(run("doctor", "--json", *options).printed)}
    assert "worker 1 of --tenant-port" in findings["ports"]["text"]
    assert "--tenant-port" in findings["ports"]["remedy"]


def test_the_port_of_a_worker_that_is_another_programs_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TENANTMESH_SERVER_WORKERS", "2")
    ports = stack_ports(2)
    with pytest.raises(PortTakenError, match="both --tenant-port and --auth-port, where worker 1 of --tenant-port"):
        table.check_ports(PortNumbers({**ports, "auth": ports["tenant"] + STEP}))


def test_a_worker_beyond_the_last_port_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TENANTMESH_SERVER_WORKERS", "2")
    with pytest.raises(PortTakenError, match="port 65600 does not exist") as caught:
        table.check_ports(with_two_workers("tenant", 65500))
    assert int(caught.value.remedy.rpartition(" ")[2].removesuffix(")")) <= 65435
