"""Writes docs/reference/openapi.json, or with --check compares it with the protos.

grpc-gateway's protoc-gen-openapiv3 reads the descriptor set and writes a document per file; its openapiv3-merge joins
them behind base.json. The document is then completed by what the plugin can't know (`operations`), and its schemas are
corrected for the generators of clients (`schemas`).
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from tenantmesh.deploy.envoy.contract import Contract, read
from tenantmesh.deploy.envoy.settings import EdgeSettings
from tooling.openapi.operations import COMPONENTS, complete
from tooling.openapi.policies import describe
from tooling.openapi.schemas import JsonObject, correct

ROOT = Path(__file__).resolve().parent.parent.parent
BASE = Path(__file__).with_name("base.json")
DOCUMENT = ROOT / "docs" / "reference" / "openapi.json"
TOOLS = ROOT / ".tools" / "bin"
STATUS = "google.rpc.Status"
TIMEOUT_SECONDS = 60


def generate(settings: EdgeSettings) -> JsonObject:
    """Return the whole document. Exits with the tool's own words when one fails or is missing."""
    contract = read(settings.descriptors, settings.upstreams)
    with tempfile.TemporaryDirectory() as scratch:
        parts = documents(settings.descriptors, contract, Path(scratch))
        agree_on(STATUS, parts)
        merged = run([tool("openapiv3-merge"), str(BASE), *map(str, parts)])
    document: JsonObject = json.loads(merged)
    document["components"] |= COMPONENTS
    described = describe(settings.descriptors)
    for method in contract.methods:
        for binding in method.bindings:
            complete(document["paths"][binding.path][binding.verb.lower()], method, binding, described[method.path])
    correct(document)
    return document


def documents(descriptors: Path, contract: Contract, folder: Path) -> list[Path]:
    """Have the plugin write its documents, and return them in the order of their names."""
    plugin = f"--plugin=protoc-gen-openapiv3={tool('protoc-gen-openapiv3')}"
    # The plugin asks for Go import paths, though it makes no Go.
    packages = ",".join(f"M{file}=tenantmesh/{Path(file).parent}" for file in contract.files)
    options = [f"--descriptor_set_in={descriptors}", plugin, f"--openapiv3_out={packages}:{folder}"]
    run([sys.executable, "-m", "grpc_tools.protoc", *options, *contract.files])
    return sorted(folder.rglob("*.json"))


def agree_on(schema: str, parts: list[Path]) -> None:
    """Have all documents describe the schema as the first does: where a file's messages contain a type that the plugin
    also knows by itself, it describes it in other words, and the merge wants one."""
    first: JsonObject | None = None
    for part in parts:
        document: JsonObject = json.loads(part.read_text(encoding="utf-8"))
        schemas = document.get("components", {}).get("schemas", {})
        if schema in schemas:
            first = first or schemas[schema]
            schemas[schema] = first
            part.write_text(json.dumps(document), encoding="utf-8")


def tool(name: str) -> str:
    """Return the path of an installed tool. Exits when it is missing."""
    path = TOOLS / name
    if not path.exists():
        sys.exit(f"{name} is missing: run `make tools` (it needs Go)")
    return str(path)


def run(arguments: list[str]) -> str:
    """Return the output of a program. Exits when it fails."""
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False)
    if done.returncode:
        sys.exit(f"{Path(arguments[0]).name} failed:\n{done.stderr}")
    return done.stdout


def main() -> None:
    """Write the document, or compare it."""
    text = json.dumps(generate(EdgeSettings()), indent=2, ensure_ascii=False) + "\n"
    if "--check" not in sys.argv[1:]:
        DOCUMENT.parent.mkdir(parents=True, exist_ok=True)
        DOCUMENT.write_text(text, encoding="utf-8")
    elif not DOCUMENT.exists() or DOCUMENT.read_text(encoding="utf-8") != text:
        sys.exit(f"{DOCUMENT.relative_to(ROOT)} is stale; run `make openapi` and commit")


if __name__ == "__main__":
    main()
