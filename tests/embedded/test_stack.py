"""The stack as code uses it: without an Envoy, with a part that can't live, with a start that fails half-way."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tenantmesh.auth_svc.api_keys.bootstrap import create_key, list_keys
from tenantmesh.deploy import envoy
from tenantmesh.deploy.commands import dev
from tenantmesh.deploy.stack import keys
from tenantmesh.deploy.stack.blocking import run_blocking
from tenantmesh.deploy.stack.errors import StackError
from tenantmesh.deploy.stack.ports import is_free
from tenantmesh.deploy.stack.programs.edge import NO_ENVOY, EdgeProgram
from tenantmesh.deploy.stack.programs.program import ProgramState
from tenantmesh.deploy.stack.programs.service import serving
from tenantmesh.deploy.stack.programs.worker import working
from tenantmesh.deploy.stack.stack import Stack
from tenantmesh.deploy.stack.supervision.record import running
from tenantmesh.interceptors.caller import UsageScope
from tests.ports import stack_ports

WATCH_SECONDS = 60


class Recorder:
    """Follows a stack's start and remembers what it was told."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.notes: list[str] = []

    @contextmanager
    def step(self, part: str, detail: str) -> Iterator[None]:
        self.steps.append(part)
        yield

    def note(self, text: str) -> None:
        self.notes.append(text)


def test_without_an_envoy_one_line_says_so_and_everything_else_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(envoy, "binary", lambda: None)
    recorder = Recorder()
    with Stack(tmp_path / "state", ports=stack_ports(), progress=recorder, durable=False, temporary=True) as stack:
        assert recorder.notes == [NO_ENVOY]
        assert recorder.steps[-3:] == ["tenant_svc", "auth_svc", "tenant_worker"]
        assert set(stack.addresses) == {"tenant_svc", "auth_svc", "tenant_worker"}
        assert all(serving(stack.addresses[name]) for name in ("tenant_svc", "auth_svc"))
        assert working(stack.addresses["tenant_worker"])
        assert is_free(stack.ports["edge"])
        *grpc, demo = dev.first_commands(stack)
        assert [command.split()[0] for command in grpc] == ["grpcurl"]
        assert demo.endswith(" demo")


def test_a_start_that_fails_half_way_leaves_nothing_running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object, **_named: object) -> None:
        raise StackError("no keys today.")

    monkeypatch.setattr(keys, "ensure", fail)
    stack = Stack(tmp_path / "state", ports=stack_ports(), durable=False, temporary=True)
    with pytest.raises(StackError, match="no keys today"):
        stack.start()
    assert not stack.places.state.exists()
    assert not stack.places.data.exists()
    assert all(is_free(number) for number in stack.ports.values())


def test_a_service_that_cannot_start_is_quoted_with_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = {
        "TENANTMESH_SERVER_GRACE": "soon",
        "TENANTMESH_TELEMETRY_LOG_LEVEL": "loud",
        "TENANTMESH_MESH_RATES": "many",
    }
    for name, value in wrong.items():
        monkeypatch.setenv(name, value)
    stack = Stack(tmp_path / "state", ports=stack_ports(), durable=False, temporary=True)
    with pytest.raises(StackError, match=r"tenant_svc did not start: .*correct these settings: TENANTMESH_") as caught:
        stack.start()
    assert all(f"{name}: " in caught.value.message for name in wrong), "every wrong setting, not one at a time"
    assert caught.value.log == stack.places.log("tenant_svc")
    assert running(stack.places.state) is None


def test_a_service_that_ends_while_another_starts_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stack = Stack(tmp_path / "state", ports=stack_ports(), durable=False, temporary=True)

    def unready(_edge: EdgeProgram, _address: str) -> ProgramState:
        service = next(child for child in stack.children if child.command.name == "tenant_svc")
        os.kill(service.process.pid, signal.SIGKILL)
        return ProgramState(False, "not ready")

    monkeypatch.setattr(EdgeProgram, "examine", unready)
    with pytest.raises(StackError, match="tenant_svc ended while envoy started") as caught:
        stack.start()
    assert caught.value.log == stack.places.log("tenant_svc")


def test_a_part_that_keeps_ending_is_given_up(tmp_path: Path) -> None:
    stack = Stack(tmp_path / "state", ports=stack_ports(), durable=False, temporary=True)
    with stack, pytest.raises(StackError, match="valkey keeps ending"):
        kill_valkey_again_and_again(stack)


def kill_valkey_again_and_again(stack: Stack) -> None:
    deadline = time.monotonic() + WATCH_SECONDS
    while time.monotonic() < deadline:
        assert stack.engines.valkey.child
        os.kill(stack.engines.valkey.child.process.pid, signal.SIGKILL)
        time.sleep(0.05)
        stack.watch()


def test_a_killed_worker_is_started_again(stack: Stack) -> None:
    killed = worker_of(stack)
    assert killed
    os.kill(killed, signal.SIGKILL)
    deadline = time.monotonic() + WATCH_SECONDS
    while worker_of(stack) in {killed, None} or not working(stack.addresses["tenant_worker"]):
        assert time.monotonic() < deadline
        time.sleep(0.05)
        stack.watch()


def worker_of(stack: Stack) -> int | None:
    return next((each.process.pid for each in stack.children if each.command.name == "tenant_worker"), None)


def test_lost_keys_are_replaced_and_the_new_ones_work(stack: Stack) -> None:
    operator = stack.places.operator_key
    before = operator.read_text()
    operator.unlink()
    keys.ensure(stack.places, stack.engines.postgres, renew=False)
    assert operator.read_text() != before
    assert operator.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("named", [["reports"], ["*"]], ids=["too few", "too many"])
def test_a_key_that_names_other_meters_than_its_service_needs_is_replaced(stack: Stack, named: list[str]) -> None:
    postgres = stack.engines.postgres
    (needed,) = [key for key in keys.api_keys() if key.name == "auth_svc"]
    database, permissions = keys.settings(postgres), needed.permissions
    old = run_blocking(create_key(database, "auth_svc", "SERVICE", permissions, meters=named, gauges=named))
    stack.places.key("auth_svc").write_text(old)
    keys.ensure(stack.places, postgres, renew=False)
    now = stack.places.key("auth_svc").read_text()
    stored = {key.id.hex: key for key in run_blocking(list_keys(keys.settings(postgres)))}
    assert needed.usage == UsageScope(frozenset({"api_requests"}), frozenset({"users"}))
    assert stored[now.split("_")[1]].usage == needed.usage
    assert keys.problem(stack.places, postgres, needed) == ""


def test_a_key_that_may_do_less_than_its_service_needs_is_replaced_and_no_other(stack: Stack) -> None:
    postgres = stack.engines.postgres
    before = {key.name: stack.places.key(key.name).read_text() for key in keys.api_keys()}
    keys.ensure(stack.places, postgres, renew=False)
    assert {key.name: stack.places.key(key.name).read_text() for key in keys.api_keys()} == before
    old = run_blocking(create_key(keys.settings(postgres), "auth_svc", "SERVICE", ["tenants.read"]))
    stack.places.key("auth_svc").write_text(old)
    keys.ensure(stack.places, postgres, renew=False)
    now = {key.name: stack.places.key(key.name).read_text() for key in keys.api_keys()}
    assert now["auth_svc"] not in {old, before["auth_svc"]}
    assert {**now, "auth_svc": ""} == {**before, "auth_svc": ""}
    stored = {key.id.hex: key for key in run_blocking(list_keys(keys.settings(postgres)))}
    assert stored[old.split("_")[1]].revoke_time is not None
    assert "quota.gauges" in stored[now["auth_svc"].split("_")[1]].permissions
