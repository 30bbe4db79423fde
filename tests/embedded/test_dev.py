"""`tenantmesh dev` and the commands that work beside it, as a person runs them."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from tenantmesh.deploy.stack.ports import PortNumbers, is_free, variable_of
from tests.ports import stack_ports
from tests.shown_calls import over_grpc, over_rest
from tests.transports import UNARY, full_name

COMMAND = str(Path(sys.executable).with_name("tenantmesh"))
START_SECONDS = 60
STOP_SECONDS = 30
OF_A_TENANTS_LIFE = {
    *("TenantService", "TenantBulkService", "LoginHostService", "EmailDomainService", "BrandingService"),
    *("SetupLinkService", "InvitationRequestService", "PurgeService"),
}
"""The services that the demo shows whole."""


class Dev:
    """`tenantmesh dev` in a process of its own."""

    def __init__(self, state: Path, ports: PortNumbers) -> None:
        self.state, self.ports = state, ports
        self.environment = {**os.environ, "COLUMNS": "60", "TENANTMESH_STATE": str(state)}
        self.environment |= {variable_of(name): str(number) for name, number in ports.items()}
        self.process = subprocess.Popen(
            [COMMAND, "dev"], env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.output = ""

    def read_until(self, text: str) -> str:
        assert self.process.stdout
        while text not in self.output:
            line = self.process.stdout.readline()
            assert line, f"it ended without saying {text!r}:\n{self.output}"
            self.output += line
        return self.output

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [COMMAND, *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=START_SECONDS,
            check=False,
        )

    def get(self, path: str, key: str = "") -> tuple[int, str]:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        with closing(http.client.HTTPConnection("127.0.0.1", self.ports["edge"], timeout=5)) as connection:
            connection.request("GET", path, headers=headers)
            response = connection.getresponse()
            return response.status, response.read().decode()

    def create(self, slug: str) -> int:
        headers = {"authorization": f"Bearer {self.operator_key()}", "content-type": "application/json"}
        with closing(http.client.HTTPConnection("127.0.0.1", self.ports["edge"], timeout=5)) as connection:
            connection.request("POST", "/api/v1/tenants/create", json.dumps({"slug": slug}), headers)
            return connection.getresponse().status

    def operator_key(self) -> str:
        return (self.state / "operator.key").read_text().strip()

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def stop(self, number: int = signal.SIGINT) -> str:
        """Ends it by the signal; zero: waits for it to end by itself."""
        if number:
            self.process.send_signal(number)
        rest, _ = self.process.communicate(timeout=STOP_SECONDS)
        self.output += rest
        return self.output


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    state = tmp_path_factory.mktemp("dev") / "state"
    yield state
    subprocess.run([COMMAND, "reset", "--yes", "--state", str(state)], check=True, timeout=STOP_SECONDS)
    assert not state.exists()


@pytest.fixture(scope="module")
def dev(state: Path) -> Iterator[Dev]:
    dev = Dev(state, stack_ports())
    dev.read_until("Ctrl-C stops everything.")
    yield dev
    dev.stop()


def gone(processes: list[psutil.Process]) -> bool:
    _, alive = psutil.wait_procs([each for each in processes if each.is_running()], timeout=STOP_SECONDS)
    return not [each for each in alive if each.status() != psutil.STATUS_ZOMBIE]


def test_each_part_has_a_line_and_a_pipe_gets_no_colour(dev: Dev) -> None:
    for part in ("postgres", "valkey", "migrations", "keys", "tenant_svc", "auth_svc", "tenant_worker", "envoy"):
        assert re.search(rf"^tenantmesh: {part}.* ok +\d+\.\ds$", dev.output, re.MULTILINE)
    assert "\x1b" not in dev.output
    assert f"http://127.0.0.1:{dev.ports['edge']}" in dev.output


def test_the_edge_says_that_both_services_serve(dev: Dev) -> None:
    assert dev.get("/healthz")[0] == 200


def test_the_operator_key_is_private_and_works(dev: Dev) -> None:
    assert stat.S_IMODE((dev.state / "operator.key").stat().st_mode) == 0o600
    assert dev.get("/api/v1/tenants", dev.operator_key())[0] == 200
    assert dev.get("/api/v1/tenants")[0] == 401


def test_the_first_commands_it_prints_work_word_for_word(dev: Dev) -> None:
    lines = [line.strip() for line in dev.output.splitlines() if line.strip().startswith("curl ")]
    assert len(lines) == 2
    for line in lines:
        done = subprocess.run(
            ["/bin/sh", "-c", line], capture_output=True, text=True, timeout=START_SECONDS, check=True
        )
        assert json.loads(done.stdout)["slug"] == "acme"


@pytest.mark.parametrize("run", ["first", "second"])
def test_the_demo_walks_through_as_often_as_one_likes(dev: Dev, run: str) -> None:
    done = dev.run("demo")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "All answers were as they should be." in done.stdout
    assert "$ curl -s" in done.stdout
    assert "$ grpcurl -plaintext" in done.stdout
    commands = [line for line in done.stdout.splitlines() if line.startswith("$ ")]
    of_tenants = {full_name(each) for each in UNARY if each.containing_service.name in OF_A_TENANTS_LIFE}
    assert not of_tenants - over_grpc(commands) - over_rest(commands), "add a step to deploy/commands/demo_steps.py"


def test_doctor_finds_nothing_wrong(dev: Dev) -> None:
    done = dev.run("doctor")
    assert done.returncode == 0, done.stdout
    for what in (
        "database roles",
        "migrations",
        "row security, tenant",
        "row security, auth",
        "valkey",
        "tenant_worker",
        "edge",
    ):
        assert re.search(rf"^ok +{what}", done.stdout, re.MULTILINE)


def test_doctor_names_a_file_that_others_can_read(dev: Dev) -> None:
    key = dev.state / "auth_svc.key"
    key.chmod(0o644)
    try:
        done = dev.run("doctor")
        assert done.returncode == 1
        assert f"chmod 600 {key}" in done.stdout
    finally:
        key.chmod(0o600)


def test_an_operators_key_is_made_listed_used_and_revoked(dev: Dev) -> None:
    made = dev.run("operator", "create", "night-shift", "--permission", "tenants.list", "--days", "1")
    key = made.stdout.strip()
    assert key.startswith("tmk_")
    assert key not in made.stderr
    assert dev.get("/api/v1/tenants", key)[0] == 200
    listed = next(line for line in dev.run("operator", "list").stdout.splitlines() if "night-shift" in line)
    assert re.search(r"expires \d{4}-\d\d-\d\d$", listed)
    assert key not in listed
    assert f"made {listed.split()[0]} for night-shift, valid for 1 days" in made.stderr
    (encoded,) = [
        each
        for each in json.loads(dev.run("operator", "list", "--json").stdout)
        if each["valid"] and each["name"] == "night-shift"
    ]
    assert encoded["permissions"] == ["tenants.list"]
    assert dev.run("operator", "revoke", listed.split()[0]).returncode == 0
    assert "revoked" in next(line for line in dev.run("operator", "list").stdout.splitlines() if "night-shift" in line)
    assert dev.run("operator", "revoke", listed.split()[0]).returncode == 1


def test_a_bad_permission_is_explained_without_a_traceback(dev: Dev) -> None:
    done = dev.run("operator", "create", "night-shift", "--forever", "--permission", "EVERYTHING!")
    assert done.returncode == 1
    assert "permissions: must be like tenants.read" in done.stderr
    assert "send the request again" not in done.stderr
    assert "Traceback" not in done.stderr


def test_doctor_names_a_key_that_services_refuse(dev: Dev) -> None:
    file = dev.state / "auth_svc.key"
    kept = file.read_text()
    less = dev.run(
        "operator", "create", "less", "--audience", "service", "--days", "1", "--permission", "tenants.read",
        "--permission", "quota.gauges", "--permission", "quota.lease", "--meter", "reports", "--gauge", "seats",
    )  # fmt: skip
    listed = next(line for line in dev.run("operator", "list").stdout.splitlines() if " less " in line)
    assert "quota.gauges,quota.lease,tenants.read meters=reports gauges=seats" in listed
    assert " meters=api_requests gauges=users " in dev.run("operator", "list").stdout
    assert "valid, with 8 permissions, meter api_requests, gauge users" in dev.run("doctor").stdout
    try:
        for text, wrong in (
            ("tmk_nonsense", "unknown, expired or revoked"),
            (less.stdout, "lacks entitlements.read, entitlements.watch, tenants.list, tenants.resolve, tenants.watch"),
            (less.stdout, "tenants.watch, the meter api_requests, the gauge users"),
        ):
            file.write_text(text)
            done = dev.run("doctor")
            assert done.returncode == 1
            assert wrong in done.stdout
    finally:
        file.write_text(kept)


def test_migrate_finds_nothing_to_do(dev: Dev) -> None:
    done = dev.run("migrate", "--check")
    assert done.returncode == 0
    assert done.stdout.count("its newest") == 2


def test_a_second_dev_and_a_reset_are_refused_and_name_the_first(dev: Dev) -> None:
    for command in ("dev", "reset"):
        done = dev.run(command)
        assert done.returncode == 1
        assert f"already running here (pid {dev.process.pid}" in done.stderr
    assert dev.get("/healthz")[0] == 200


def test_a_killed_service_is_started_again(dev: Dev) -> None:
    next(child for child in dev.children() if "tenantmesh.tenant_svc" in child.cmdline()).kill()
    dev.read_until("tenant_svc ended by itself; starting it again")
    deadline = time.monotonic() + START_SECONDS
    while dev.get("/healthz")[0] != 200 or dev.get("/api/v1/tenants", dev.operator_key())[0] != 200:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_taken_port_is_named_and_nothing_is_left_behind(tmp_path: Path) -> None:
    ports = stack_ports()
    with socket.create_server(("127.0.0.1", ports["edge"])):
        refused = Dev(tmp_path / "state", ports)
        output = refused.stop(0)
    assert refused.process.returncode == 1
    assert f"port {ports['edge']} is in use by pid {os.getpid()}" in output
    assert re.search(r"make run EDGE_PORT=\d+", output)
    assert not (tmp_path / "state" / "run.json").exists()
    assert refused.run("reset", "--yes").returncode == 0


def test_ctrl_c_stops_everything_and_the_data_outlives_that_and_a_kill(tmp_path: Path) -> None:
    """One story, since each run needs what the one before has left."""
    first = Dev(tmp_path / "state", stack_ports())
    first.read_until("Ctrl-C stops everything.")
    key, children = first.operator_key(), first.children()
    assert first.create("acme") == 200
    assert "data kept in" in first.stop(signal.SIGINT)
    assert first.process.returncode == 0
    assert "Traceback" not in first.output
    assert len(children) >= 5
    assert gone(children)
    assert all(is_free(number) for number in first.ports.values())

    second = Dev(tmp_path / "state", first.ports)
    second.read_until("Ctrl-C stops everything.")
    assert second.operator_key() == key
    assert second.get("/api/v1/tenants/acme", key)[0] == 200
    children = second.children()
    second.stop(signal.SIGKILL)
    assert gone(children)

    third = Dev(tmp_path / "state", first.ports)
    assert "cleaned up after a run that was killed" in third.read_until("Ctrl-C stops everything.")
    assert third.get("/api/v1/tenants/acme", key)[0] == 200
    third.stop(signal.SIGTERM)
    assert third.process.returncode == 0
    assert third.run("reset", "--yes").returncode == 0
