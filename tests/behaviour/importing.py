"""`tenantmesh tenants import` as tests run it: in this process, or in one of its own that can be interrupted."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import uuid
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any
from unittest.mock import patch

from tenantmesh.deploy import cli
from tests.fixtures.mesh import OPERATIONS, Mesh, World

COMMAND = "from tenantmesh.deploy.program import main; main()"
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


def _arguments(mesh: Mesh, file: Path, options: tuple[str, ...]) -> list[str]:
    return ["tenants", "import", str(file), "--state", str(mesh.stack.places.state), *options]


def begun(mesh: Mesh, file: Path, *options: str, stderr: int = subprocess.STDOUT) -> subprocess.Popen[str]:
    """The command, in a process of its own."""
    command = [sys.executable, "-c", COMMAND, *_arguments(mesh, file, options)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True)


def ended(mesh: Mesh, file: Path, *options: str) -> tuple[int, str]:
    """The exit code and the output of the command, in this process."""
    output, code = StringIO(), 0
    arguments = ["tenantmesh", *_arguments(mesh, file, options)]
    with patch.object(sys, "argv", arguments), redirect_stdout(output), redirect_stderr(output):
        try:
            cli.main()
        except SystemExit as ending:
            code = int(ending.code or 0)
    return code, output.getvalue()


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
