"""Generates everything that comes from the protos. `make gen` runs it; `--check` compares instead of writing, and
`--image OUTPUT FOLDER` writes only the image that `check.sh` gives to buf.

What it writes:
  gen/tenantmesh/…                  messages, stubs and their types; an import root, not a package
  gen/tenantmesh/interceptors …     links to our packages: all are imported as `tenantmesh.…` (decision 0023)
  gen/descriptors.binpb             the descriptor set that Envoy, buf and the tests read, comments included
  protos/third_party/…              the protos of Google that ours import, from the googleapis-common-protos package, so
                                    that buf and other tools can compile protos/ without Python and without network
  tests/example/gen/…               the same for the example internal service, which has protos of its own

The generator's version is the floor for every consumer's grpcio and protobuf (docs/decisions/0002), so it is pinned in
pyproject.toml and older than what we run.
"""

from __future__ import annotations

import filecmp
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import files
from pathlib import Path

import google.api
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
GOOGLEAPIS = Path(google.api.__path__[0]).parent.parent
WELL_KNOWN = Path(protoc.__file__).parent / "_proto"
OPERATIONS = "google/longrunning/operations.proto"
# Rich errors become JSON at the edge only if every Any type in them is in the descriptor set.
EXTRA_DESCRIPTORS = ("google/rpc/error_details.proto",)

WITH_PROTOC = "google/protobuf/"
"""Imports that every compiler of protos brings along."""
THIRD_PARTY = Path("protos/third_party")

LINKED = ("interceptors", "runtime", "chassis", "tenant_svc", "auth_svc", "deploy")
"""Our packages, which stand at the top of the checkout and are imported as `tenantmesh.<name>`."""


@dataclass(frozen=True)
class Target:
    """One set of protos and where its output goes, relative to the project."""

    protos: Path
    output: Path
    packages: tuple[str, ...]
    includes: tuple[Path, ...] = ()
    descriptor_set: bool = False
    linked: tuple[str, ...] = ()


TARGETS = (
    Target(ROOT / "protos", Path("gen"), ("tenantmesh",), descriptor_set=True, linked=LINKED),
    Target(ROOT / "tests/example/protos", Path("tests/example/gen"), ("notes",), (ROOT / "protos",)),
)


def generate(target: Target, root: Path) -> None:
    """Write the target's output below `root`. Exits with protoc's own message when a proto is wrong."""
    output = root / target.output
    for package in target.packages:
        shutil.rmtree(output / package, ignore_errors=True)
    output.mkdir(parents=True, exist_ok=True)
    sources = sources_in(target.protos)
    includes = import_paths(target.protos, *target.includes)
    plugins = [f"--{kind}={output}" for kind in ("python_out", "grpc_python_out")]
    typed = [f"--{kind}=quiet:{output}" for kind in ("mypy_out", "mypy_grpc_out")]
    # The type plugins are console scripts of this environment.
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    run_protoc([*includes, *plugins, *typed, *sources])
    if target.descriptor_set:
        descriptors = f"--descriptor_set_out={output / 'descriptors.binpb'}"
        run_protoc([*includes, "--include_imports", "--include_source_info", descriptors, *sources, *EXTRA_DESCRIPTORS])
        copy_imports(output / "descriptors.binpb", root / THIRD_PARTY)
    for package in target.packages:
        finish_package(output / package)
    if target.linked:
        link_packages(output / "tenantmesh", target.linked)


def sources_in(folder: Path) -> list[str]:
    """List our own protos in the folder, relative to it."""
    paths = (path.relative_to(folder) for path in folder.rglob("*.proto"))
    return sorted(str(path) for path in paths if path.parts[0] != THIRD_PARTY.name)


def import_paths(*folders: Path) -> list[str]:
    """Return where protoc finds imports: these folders, then those of the installed packages."""
    renamed = f"-I{OPERATIONS}={in_googleapis(OPERATIONS)}"
    return [renamed, *(f"-I{folder}" for folder in (*folders, GOOGLEAPIS, WELL_KNOWN))]


def in_googleapis(name: str) -> Path:
    """Return where the package keeps an import: one under another name than the one by which everybody imports it."""
    return GOOGLEAPIS / (name.replace("operations", "operations_proto") if name == OPERATIONS else name)


def copy_imports(descriptors: Path, folder: Path) -> None:
    """Write the protos of others that the descriptor set contains, and their licence, as their package ships them."""
    shutil.rmtree(folder / "google", ignore_errors=True)
    for file in FileDescriptorSet.FromString(descriptors.read_bytes()).file:
        if file.name.startswith("google/") and not file.name.startswith(WITH_PROTOC):
            (folder / file.name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(in_googleapis(file.name), folder / file.name)
    (licence,) = (path for path in files("googleapis-common-protos") or () if path.name == "LICENSE")
    shutil.copyfile(licence.locate(), folder / "LICENSE")


def image(output: str, folder: Path) -> None:
    """Write the image of all protos in the folder, comments included, as buf reads it."""
    options = ["--include_imports", "--include_source_info", f"--descriptor_set_out={output}"]
    run_protoc([*import_paths(folder, ROOT / "protos"), *options, *sources_in(folder)])


def run_protoc(arguments: list[str]) -> None:
    """Run protoc in a process of its own, since it keeps global state. Exits when it fails."""
    if subprocess.run([sys.executable, "-m", "grpc_tools.protoc", *arguments], check=False).returncode:
        sys.exit("protoc failed; its message stands above")


def finish_package(package: Path) -> None:
    """Make the output regular, typed packages and drop the stubs of files without a service."""
    for folder in (package, *(path for path in package.rglob("*") if path.is_dir())):
        (folder / "__init__.py").write_text("")
    (package / "py.typed").write_text("")
    for stub in package.rglob("*_pb2_grpc.py"):
        if "class " not in stub.read_text():
            stub.unlink()
            stub.with_suffix(".pyi").unlink(missing_ok=True)


def link_packages(namespace: Path, packages: Iterable[str]) -> None:
    """Make the folder a namespace package that holds the generated packages and links to our own.

    A namespace package has no `__init__.py`. Type checkers want a `py.typed` in each of its parts.
    """
    (namespace / "__init__.py").unlink()
    (namespace / "py.typed").unlink()
    for part in namespace.iterdir():
        (part / "py.typed").write_text("")
    for name in packages:
        (namespace / name).symlink_to(Path("..", "..", name), target_is_directory=True)


def differences(expected: Path, actual: Path) -> list[str]:
    """List the files and links that differ between two trees, relative to them."""
    names = {name for tree in (expected, actual) for name in entries(tree)}
    return sorted(str(name) for name in names if not same(expected / name, actual / name))


def entries(tree: Path) -> Iterator[Path]:
    """List the files and links of a tree, without Python's caches and the pages that people write."""
    for folder, folders, names in os.walk(tree):
        links = [name for name in folders if (Path(folder) / name).is_symlink()]
        for name in (*names, *links):
            if name != "README.md" and not folder.endswith("__pycache__"):
                yield (Path(folder) / name).relative_to(tree)


def same(expected: Path, actual: Path) -> bool:
    """Return whether both are the same link, or files with the same content."""
    if expected.is_symlink() or actual.is_symlink():
        return expected.is_symlink() and actual.is_symlink() and expected.readlink() == actual.readlink()
    return expected.exists() and actual.exists() and filecmp.cmp(expected, actual, shallow=False)


def check() -> None:
    """Exit with the list of files that a fresh generation would change."""
    with tempfile.TemporaryDirectory() as scratch:
        for target in TARGETS:
            generate(target, Path(scratch))
        folders = (*(target.output for target in TARGETS), THIRD_PARTY)
        stale = [
            f"{folder}/{name}" for folder in folders for name in differences(Path(scratch) / folder, ROOT / folder)
        ]
    if stale:
        sys.exit("generated code is stale; run `make gen` and commit:\n  " + "\n  ".join(stale))


if __name__ == "__main__":
    if "--check" in sys.argv[1:]:
        check()
    elif "--image" in sys.argv[1:]:
        image(sys.argv[2], Path(sys.argv[3]))
    else:
        for each in TARGETS:
            generate(each, ROOT)
