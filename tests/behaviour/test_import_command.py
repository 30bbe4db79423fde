"""`tenantmesh tenants import` against the running product: dry run, rejected lines, exit codes, interrupts and kill -9.

What becomes of it while parts of the product are killed is in test_tenant_faults.
"""

from __future__ import annotations

import asyncio
import json
import os
import pty
import re
import signal
from pathlib import Path

from tenantmesh.deploy.commands.import_client import ImportClient, Sending
from tenantmesh.deploy.commands.import_slices import slices_of
from tenantmesh.tenant.v1 import tenant_bulk_service_pb2 as pb
from tests.behaviour.importing import PATIENCE_SECONDS, begins_to_create, begun, ended, named, written
from tests.fixtures.mesh import TENANTS, Mesh, World

ALL, REJECTED, INTERRUPTED = 0, 3, 130
LINES = 2000
MANY_LINES = 5000
"""Enough to be under way for seconds, and interrupted before the end on a busy machine too."""


def test_lines_are_imported_once_and_bad_ones_are_kept_beside_the_file(mesh: Mesh, tmp_path: Path) -> None:
    good, bad = named(displayName="Ä"), named(slug="A B")
    file = written(tmp_path, good, "", bad, "no JSON")
    rejected = tmp_path / "tenants.ndjson.rejected"
    code, output = ended(mesh, file, "--dry-run")
    assert (code, "dry run, nothing has changed: 1 created" in output) == (REJECTED, True), output
    tried = rejected.read_text()
    code, output = ended(mesh, file)
    assert (code, "1 created, 0 updated, 0 unchanged, 2 rejected" in output) == (REJECTED, True), output
    assert "tenants.ndjson.rejected" in output
    assert not re.search("\x1b|importing", output), "in a pipe there is no bar"
    assert rejected.read_text() == tried, "the dry run has rejected the same, for the same reasons"
    kept = [json.loads(line) for line in tried.splitlines()]
    assert [each["line"] for each in kept] == [3, 4]
    assert kept[0]["reason"].startswith("slug: must be 3 to 40")
    assert json.loads(kept[0]["text"]) == bad
    file = written(tmp_path, {**good, "displayName": "Other"})
    code, output = ended(mesh, file, "--on-existing", "report")
    assert (code, json.loads(rejected.read_text())["line"]) == (REJECTED, 1)
    code, output = ended(mesh, file)
    assert (code, "0 created, 1 updated" in output, rejected.exists()) == (ALL, True, False), output


def test_a_file_that_changes_between_dry_run_and_run_is_imported_as_it_is_then(mesh: Mesh, tmp_path: Path) -> None:
    first, second = named(), named()
    code, output = ended(mesh, written(tmp_path, first, "no JSON"), "--dry-run")
    assert (code, "1 created" in output) == (REJECTED, True), output
    code, output = ended(mesh, written(tmp_path, second, {**second, "displayName": "Twice"}, first))
    assert (code, "2 created, 0 updated, 0 unchanged, 1 rejected" in output) == (REJECTED, True), output


def test_who_may_not_or_asks_nobody_is_told(mesh: Mesh, tmp_path: Path) -> None:
    file = written(tmp_path, named())
    key = mesh.stack.places.state / "auth_svc.key"
    code, output = ended(mesh, file, "--key-file", str(key))
    assert (code, "cannot be called by a service" in output, "Start it again" in output) == (1, True, False), output
    assert ended(mesh, file, "--edge", "ftp://nowhere")[0] == 1
    assert ended(mesh, tmp_path / "missing")[0] == 2


def shown(terminal: int) -> str:
    """The text that was written to the terminal."""
    found = b""
    try:
        while part := os.read(terminal, 65_536):
            found += part
    except OSError:  # the other end is closed, and everything is read
        pass
    return found.decode()


async def test_an_interrupted_import_is_cancelled_and_goes_on_when_it_is_started_again(
    mesh: Mesh, world: World, tmp_path: Path
) -> None:
    file = written(tmp_path, *(named() for _ in range(MANY_LINES)))
    terminal, of_client = pty.openpty()
    client = begun(mesh, file, stderr=of_client)
    os.close(of_client)
    await begins_to_create(client, world)
    client.send_signal(signal.SIGINT)
    lines = await asyncio.to_thread(shown, terminal)
    await asyncio.to_thread(client.communicate, timeout=PATIENCE_SECONDS)
    assert (client.returncode, "interrupted" in lines) == (INTERRUPTED, True), lines
    assert "importing" in lines, "a terminal shows a bar"
    code, output = await asyncio.to_thread(ended, mesh, file)
    assert (code, "0 rejected" in output) == (ALL, True), output


def test_the_progress_within_a_call_is_told(mesh: Mesh, tmp_path: Path) -> None:
    (part,) = slices_of(written(tmp_path, *(named() for _ in range(LINES))))
    told: list[pb.ImportTenantsMetadata] = []
    with ImportClient(mesh.edge_target, mesh.operator_key, tls=False) as client:
        response = client.send(part, Sending(on_existing=pb.ON_EXISTING_UPDATE, dry_run=True), told.append)
    percents = [each.progress_percent for each in told]
    assert (percents[-1], percents) == (100, sorted(percents))
    assert told[-1].counts == response.counts == pb.ImportCounts(created=LINES)


async def test_a_killed_import_is_finished_by_the_same_command(mesh: Mesh, world: World, tmp_path: Path) -> None:
    lines = [named() for _ in range(MANY_LINES)]
    file = written(tmp_path, *lines)
    client = begun(mesh, file)
    await begins_to_create(client, world)
    client.kill()
    client.communicate()
    code, output = await asyncio.to_thread(ended, mesh, file)
    assert (code, "0 rejected" in output) == (ALL, True), output
    code, output = await asyncio.to_thread(ended, mesh, file)
    assert (code, f"0 created, 0 updated, {MANY_LINES} unchanged" in output) == (ALL, True), output
    assert os.listdir(tmp_path) == [file.name], "a killed one leaves no file"
    for each in (lines[0], lines[-1]):
        found = await world.operate(f"{TENANTS}/GetTenant", {"id": each["slug"]})
        assert found["externalId"] == each["externalId"]
