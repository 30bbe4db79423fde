"""`tenantmesh tenants import` against the running product: dry run, rejected lines, exit codes, and kill -9."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.behaviour.test_tenant_faults import watched
from tests.fixtures.mesh import OPERATIONS, TENANTS, Mesh, World
from tests.fixtures.processes import Four, made

COMMAND = "from tenantmesh.deploy.program import main; main()"
ALL, REJECTED, INTERRUPTED = 0, 3, 130
PATIENCE_SECONDS = 120


def named(**fields: Any) -> dict[str, Any]:
    """A tenant of its own, as a line has it."""
    name = f"c-{uuid.uuid4().hex[:20]}"
    return {"slug": name, "externalId": f"crm:{name}", **fields}


def written(folder: Path, *lines: dict[str, Any] | str) -> Path:
    file = folder / "tenants.ndjson"
    texts = (line if isinstance(line, str) else json.dumps(line) for line in lines)
    file.write_text("".join(f"{text}\n" for text in texts))
    return file


def begun(mesh: Mesh, file: Path, *options: str) -> subprocess.Popen[str]:
    """The command, in a process of its own."""
    arguments = ["tenants", "import", str(file), "--state", str(mesh.stack.places.state), *options]
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def ended(mesh: Mesh, file: Path, *options: str) -> tuple[int, str]:
    """The exit code and the output of the command."""
    process = begun(mesh, file, *options)
    output, _ = process.communicate(timeout=PATIENCE_SECONDS)
    return process.returncode, output


def test_lines_are_imported_once_and_bad_ones_are_kept_beside_the_file(mesh: Mesh, tmp_path: Path) -> None:
    good, bad = named(displayName="Ä"), named(slug="A B")
    file = written(tmp_path, good, "", bad, "no JSON")
    rejected = tmp_path / "tenants.ndjson.rejected"
    code, output = ended(mesh, file, "--dry-run")
    assert (code, "dry run, nothing has changed: 1 created" in output) == (REJECTED, True), output
    code, output = ended(mesh, file)
    assert (code, "1 created, 0 updated, 0 unchanged, 2 rejected" in output) == (REJECTED, True), output
    assert "tenants.ndjson.rejected" in output
    kept = [json.loads(line) for line in rejected.read_text().splitlines()]
    assert [each["line"] for each in kept] == [3, 4]
    assert kept[0]["reason"].startswith("slug: must be 3 to 40")
    assert json.loads(kept[0]["text"]) == bad
    file = written(tmp_path, {**good, "displayName": "Other"})
    code, output = ended(mesh, file, "--on-existing", "report")
    assert (code, json.loads(rejected.read_text())["line"]) == (REJECTED, 1)
    code, output = ended(mesh, file)
    assert (code, "0 created, 1 updated" in output, rejected.exists()) == (ALL, True, False), output


def test_who_may_not_or_asks_nobody_is_told(mesh: Mesh, tmp_path: Path) -> None:
    file = written(tmp_path, named())
    key = mesh.stack.places.state / "auth_svc.key"
    code, output = ended(mesh, file, "--key-file", str(key))
    assert (code, "Start it again" in output) == (1, True), output
    assert ended(mesh, file, "--edge", "ftp://nowhere")[0] == 1
    assert ended(mesh, tmp_path / "missing")[0] == 2


async def under_way(world: World) -> bool:
    """Whether an import has created some of its tenants and not yet all."""
    asked = {"type": "ImportTenants", "pageSize": 5}
    listed = await world.operate(f"{OPERATIONS}/ListOperations", asked)
    return any(not each["done"] and each["metadata"]["counts"]["created"] for each in listed["operations"])


async def begins_to_create(client: subprocess.Popen[str], world: World) -> None:
    """Return once the import of the client has created some of its tenants."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await under_way(world):
            assert client.poll() is None, "it has ended before"
            await asyncio.sleep(0.05)


async def test_an_interrupted_import_is_cancelled_and_goes_on_when_it_is_started_again(
    mesh: Mesh, world: World, tmp_path: Path
) -> None:
    file = written(tmp_path, *(named() for _ in range(4000)))
    client = begun(mesh, file)
    await begins_to_create(client, world)
    client.send_signal(signal.SIGINT)
    output, _ = await asyncio.to_thread(client.communicate, timeout=PATIENCE_SECONDS)
    assert (client.returncode, "interrupted" in output) == (INTERRUPTED, True), output
    code, output = await asyncio.to_thread(ended, mesh, file)
    assert (code, "0 rejected" in output) == (ALL, True), output


@pytest.mark.timeout(240)
async def test_after_kill_of_client_worker_and_service_the_same_command_finishes(four: Four, tmp_path: Path) -> None:
    lines = [named() for _ in range(4000)]
    file = written(tmp_path, *lines)
    supervisor = asyncio.create_task(watched(four))
    try:
        async with made(four) as world:
            client = begun(four.mesh, file)
            await begins_to_create(client, world)
            client.kill()
            four.process("tenant_worker").kill()
            for process in four.process("tenant_svc").children():
                process.kill()
            client.communicate()
            code, output = await asyncio.to_thread(ended, four.mesh, file)
            assert (code, "0 rejected" in output) == (ALL, True), output
            code, output = await asyncio.to_thread(ended, four.mesh, file)
            assert (code, "0 created, 0 updated, 4000 unchanged" in output) == (ALL, True), output
            for each in (lines[0], lines[-1]):
                found = await world.operate(f"{TENANTS}/GetTenant", {"id": each["slug"]})
                assert found["externalId"] == each["externalId"]
    finally:
        supervisor.cancel()
