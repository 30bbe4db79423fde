"""What the command line says to wrong input: a line with the cause, a line with what to do, and never a traceback."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tenantmesh.auth_svc.schema import OUTAGE
from tenantmesh.deploy.commands.failures import in_words
from tenantmesh.deploy.stack.programs import table
from tenantmesh.interceptors.errors import FieldViolation, InvalidArgument
from tenantmesh.runtime.database import DatabaseUnavailable
from tests.ports import free_port
from tests.unit.deploy.commands import Done, run

NOBODY = "postgresql://nobody:hunter2@127.0.0.1:{port}/tenantmesh"
WRONG_ADDRESSES = [
    ("db.example.com", "the address can't be read"),
    ("mysql://nobody:hunter2@db/tenantmesh", "the address can't be read"),
    ("postgresql://nobody:hunter2@db:port/tenantmesh", "the address can't be read"),
    ("postgresql://nobody:hunter2@db:[/tenantmesh", "the address can't be read"),
    ("postgresql://nobody:hunter2@127.0.0.1:65536/tenantmesh", "ports are 1 to 65535"),
    ("postgresql://nobody:hunter2@127.0.0.1:0/tenantmesh", "ports are 1 to 65535"),
    ("postgresql://nobody:hunter2@one:5432,two:70000/tenantmesh", "ports are 1 to 65535"),
    ("postgresql://nobody:hunter2@/tenantmesh?host=/nonexistent", "the database did not answer"),
    (NOBODY, "the database did not answer"),
]


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TENANTMESH_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("COLUMNS", "300")


def refused(done: Done) -> str:
    assert done.exit_code == 1
    assert done.output.startswith("tenantmesh: ")
    assert "hunter2" not in done.output
    return done.output


@pytest.mark.parametrize(("address", "told"), WRONG_ADDRESSES)
@pytest.mark.parametrize("arguments", [["migrate"], ["migrate", "--check"], ["operator", "list"]], ids=" ".join)
def test_a_wrong_address_of_the_database(
    arguments: list[str], address: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TENANTMESH_DATABASE_MIGRATE_URL", "TENANTMESH_DATABASE_SYSTEM_URL"):
        monkeypatch.setenv(name, address.format(port=free_port()))
    output = refused(run(*arguments))
    assert told in output
    assert "Check " in output


@pytest.mark.parametrize(
    ("option", "told"),
    [
        (["--tenant", "tenant_svc"], "'tenant_svc' is no host:port"),
        (["--auth", "auth:http"], "'auth:http' is no host:port"),
        (["--address", "everywhere"], "'everywhere' is no IP address"),
        (["--tenant", "tenant_svc:65536"], "'tenant_svc:65536' has a port that does not exist"),
        (["--auth", "auth_svc:0"], "'auth_svc:0' has a port that does not exist"),
        (["--otlp", "collector:99999"], "'collector:99999' has a port that does not exist"),
        (["--edge-port", "0"], "the edge has the port 0"),
        (["--edge-port", "9901"], "the edge and the edge's admin interface have the same address: 127.0.0.1:9901"),
        (["--edge-port", "9901", "--address", "::"], "have the same port: 9901"),
        (
            ["--tenant", "svc:50051", "--tenant-health-port", "50051"],
            "tenant and the health of tenant have the same address",
        ),
        (["--tenant", "svc:50051", "--auth", "svc:50051"], "tenant and auth have the same address: svc:50051"),
        (["--tenant", "svc:50051", "--tenant", "svc:50051"], "tenant 1 and tenant 2 have the same address"),
        (["--tenant", "127.0.0.1:8080"], "the edge and tenant have the same address: 127.0.0.1:8080"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
@pytest.mark.parametrize("command", ["render", "validate"])
def test_an_edge_of_wrong_addresses(command: str, option: list[str], told: str, tmp_path: Path) -> None:
    output = [str(tmp_path / "envoy.json")] if command == "render" else []
    assert told in refused(run("edge", command, *output, *option))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("output", [".", "file/envoy.json"])
def test_an_edge_into_a_file_that_cannot_be_written(output: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "can't be written" in refused(run("edge", "render", str(tmp_path / output)))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert not list(tmp_path.parent.glob(f".{tmp_path.name}*"))


@pytest.mark.parametrize(
    ("edge", "told"),
    [
        ("http://127.0.0.1:{port}", "no edge answers at 127.0.0.1:"),
        ("127.0.0.1:{port}", "no edge answers at 127.0.0.1:"),
        ("http://127.0.0.1:port", "is no address of an edge"),
        ("ftp://127.0.0.1", "is no address of an edge"),
        ("http://", "is no address of an edge"),
    ],
)
def test_a_demo_of_no_edge(edge: str, told: str, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("tmk_0123\n")
    done = run("demo", "--edge", edge.format(port=free_port()), "--key-file", str(key))
    assert done.exit_code == 1
    assert told in done.output


@pytest.mark.parametrize(
    ("content", "told"),
    [(b"two\nlines", "holds no operator key"), (b"\xff", "can't be read"), (None, "there is no operator key")],
)
def test_a_demo_with_no_key(content: bytes | None, told: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "key").write_bytes(content)
    assert told in refused(run("demo", "--edge", "http://127.0.0.1:1", "--key-file", str(tmp_path / "key")))


def test_names_are_printed_as_they_were_given(tmp_path: Path) -> None:
    """`:bomb:` is a name, and no picture."""
    path = tmp_path / ":bomb:" / "[red]x[" / "].json"
    assert f"wrote {path}" in run("edge", "render", str(path)).output
    assert ":bomb:" in refused(run("edge", "render", str(tmp_path), "--address", ":bomb:"))


def test_a_number_of_workers_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TENANTMESH_SERVER_WORKERS", "two")
    findings = {finding["what"]: finding for finding in json.loads(run("doctor", "--json").printed)}
    assert "TENANTMESH_SERVER_WORKERS: Input should be a valid integer" in findings["ports"]["text"]


def test_a_state_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    output = refused(run("dev", "--state", str(tmp_path / "file" / "state")))
    assert "Not a directory" in output
    assert "--state" in output


def test_the_version_is_printed() -> None:
    assert run("--version").printed == "tenantmesh 0.1.0\n"


def test_doctor_prints_json_for_programs(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "notes.txt").touch()
    done = run("doctor", "--json")
    findings = {finding["what"]: finding for finding in json.loads(done.printed)}
    assert done.exit_code == 1
    assert findings["python"]["good"]
    assert findings["state folder"] == {
        "what": "state folder",
        "good": False,
        "text": f"{tmp_path / 'state'} is no state folder of tenantmesh",
        "remedy": "Choose another with --state.",
    }


def test_behind_a_refusal_for_callers_the_cause_is_told() -> None:
    error = OUTAGE.error()
    error.__cause__ = DatabaseUnavailable("the database did not answer: Connection refused")
    assert in_words(error).message == "the database did not answer: Connection refused."
    assert "Retry" not in str(in_words(error))


def test_wrong_fields_are_told_without_the_words_of_the_api() -> None:
    error = InvalidArgument.fields([FieldViolation("name", "must be short")])
    assert in_words(error).message == "name: must be short."


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--forever"], "--permission '*'"),
        (["--permission", "tenants.read"], "--forever"),
        (["--permission", "tenants.read", "--days", "9", "--forever"], "--forever"),
    ],
)
def test_a_key_needs_permissions_and_an_end_or_none(
    arguments: list[str], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TENANTMESH_DATABASE_SYSTEM_URL", NOBODY.format(port=free_port()))
    output = refused(run("operator", "create", "ops", *arguments))
    assert told in output
    assert "did not answer" not in output


def test_the_help_says_which_permissions_a_service_needs() -> None:
    told = " ".join(run("operator", "create", "--help").output.replace("│", " ").split())
    for program in table.python_programs():
        assert all(permission in told for permission in program.permissions or ())
    assert "A service of yours needs tenants.resolve" in told
    assert "auth_svc needs api_requests." in told
    assert "auth_svc needs users." in told
