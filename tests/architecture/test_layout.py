"""The rules that keep the code findable: layers, names, sizes."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tenantmesh.interceptors.chain import LINKS

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("interceptors", "runtime", "chassis", "tenant_svc", "auth_svc", "deploy", "tooling")
MODULES = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
SOURCES = sorted(path for path in MODULES if "versions" not in path.parts)
DRAWERS = {"common", "utils", "helpers", "misc", "shared", "base", "core", "util", "helper"}
LONGEST_FILE = 300
LONGEST_FUNCTION = 30
LONGEST_SERVICER_METHOD = 15

# A comment by which one line opts out of a rule of ruff or mypy.
SUPPRESSION = re.compile(r"#\s*(?:noqa|ruff:|type:\s*ignore|mypy:|pyright:)")
# Functions that are longer, each with its reason.
EXCEPTIONS = {
    "interceptors/servers/aio.py:_around": "the hot path: a call per step would cost more than the steps",
}


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of the body, without the docstring."""
    body = node.body[1:] if ast.get_docstring(node) else node.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def long_functions(path: Path) -> dict[str, int]:
    """The functions of a file that are too long, by place, with their lines."""
    name = path.relative_to(ROOT).as_posix()
    return {f"{name}:{node.name}": length(node) for node in functions(path) if length(node) > LONGEST_FUNCTION}


def test_layers_are_kept() -> None:
    done = subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


def test_every_package_is_examined() -> None:
    found = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}
    assert set(PACKAGES) == found, "add the package to PACKAGES, from which the tests of this folder take theirs"


def test_every_link_is_independent_of_the_others() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (links,) = (each["modules"] for each in contracts if each["name"].startswith("links know ports"))
    written = {path.stem for path in (ROOT / "interceptors" / "links").glob("*.py")} & {row.name for row in LINKS}
    assert sorted(links) == sorted(f"tenantmesh.interceptors.links.{name}" for name in written)


def test_no_module_is_a_drawer() -> None:
    drawers = [path for path in SOURCES if path.stem in DRAWERS or path.parent.name in DRAWERS]
    assert not drawers, "name a module for what lives in it"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_fit_on_a_screen(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= LONGEST_FILE
    long = {place: size for place, size in long_functions(path).items() if place not in EXCEPTIONS}
    assert not long


def test_every_exception_is_needed() -> None:
    assert set(EXCEPTIONS) == {place for path in SOURCES for place in long_functions(path)}, "remove the others"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_says_what_lives_in_it(path: Path) -> None:
    source = path.read_text()
    assert not source.strip() or ast.get_docstring(ast.parse(source)), "add a module docstring"


@pytest.mark.parametrize("path", sorted(ROOT.glob("*_svc/**/servicer.py")), ids=lambda path: path.parent.name)
def test_servicer_methods_only_translate(path: Path) -> None:
    long = {node.name: length(node) for node in functions(path) if length(node) > LONGEST_SERVICER_METHOD}
    assert not long, "move rules to the capability's use cases"


@pytest.mark.parametrize("path", sorted((ROOT / "runtime").glob("*/__init__.py")), ids=lambda path: path.parent.name)
def test_a_facade_of_the_runtime_only_exports_again(path: Path) -> None:
    body = ast.parse(path.read_text()).body
    logic = [node for node in body if not isinstance(node, ast.ImportFrom | ast.Expr | ast.Assign)]
    assigned = [ast.unparse(node.targets[0]) for node in body if isinstance(node, ast.Assign)]
    assert not logic
    assert assigned in ([], ["__all__"])


def suppressed(package: str) -> list[str]:
    """The lines of a package that opt out of a rule."""
    return [
        f"{path.relative_to(ROOT).as_posix()}:{number}"
        for path in sorted((ROOT / package).rglob("*.py"))
        if "gen" not in path.relative_to(ROOT).parts
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if SUPPRESSION.search(line)
    ]


@pytest.mark.parametrize("package", [*PACKAGES, "protos", "tests"])
def test_exceptions_to_lint_rules_stand_in_pyproject(package: str) -> None:
    assert not suppressed(package), "change the code, or write the exception into pyproject.toml with its reason"
