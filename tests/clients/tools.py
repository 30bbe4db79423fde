"""Where the foreign programs are. `make tools` puts them there; CI can't do without them."""

from __future__ import annotations

import asyncio
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
TOOLS = ROOT / ".tools"
DESCRIPTORS = ROOT / "gen" / "descriptors.binpb"
TIMEOUT_SECONDS = 30


class Mesh(Protocol):
    """What a client must be told of a running mesh; the fixture `mesh` is one, in development mode."""

    @property
    def edge_url(self) -> str: ...
    @property
    def edge_target(self) -> str: ...
    @property
    def tenant_target(self) -> str: ...
    @property
    def auth_target(self) -> str: ...
    @property
    def operator_key(self) -> str: ...


@dataclass(frozen=True)
class Run:
    """What a program said."""

    code: int
    out: str
    err: str


def tool(name: str) -> Path:
    """Returns an installed program, or skips the test; in CI the test fails instead."""
    return available(TOOLS / "bin" / name)


def node() -> Path:
    """Returns Node, once its gRPC client is installed too."""
    available(TOOLS / "node" / "node_modules" / "@grpc" / "grpc-js")
    return available(Path(shutil.which("node") or "node"))


def available(path: Path) -> Path:
    if not path.exists():
        required = os.environ.get("CI") == "true" or os.environ.get("TENANTMESH_REQUIRE_TOOLS") == "1"
        (pytest.fail if required else pytest.skip)(f"{path.name} is missing: run make tools")
    return path


async def run(
    program: Path,
    *arguments: str,
    environment: dict[str, str] | None = None,
    folder: Path | None = None,
    timeout: float = TIMEOUT_SECONDS,
) -> Run:
    """Runs a program to its end."""
    process = await asyncio.create_subprocess_exec(
        program,
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **(environment or {})},
        cwd=folder,
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(), timeout)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    assert process.returncode is not None
    return Run(process.returncode, out.decode(), err.decode())
