"""The rules that keep the code findable: layers, names, sizes."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("interceptors", "runtime", "tenant_svc", "auth_svc", "deploy")
MODULES = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
SOURCES = sorted(path for path in MODULES if "versions" not in path.parts)
DRAWERS = {"common", "utils", "helpers", "misc", "shared", "base", "core", "util", "helper"}
LONGEST_FILE = 300
LONGEST_FUNCTION = 40
LONGEST_SERVICER_METHOD = 15

# Functions that are longer, each with its reason.
EXCEPTIONS = {
    "interceptors/_aio.py:_around": "the hot path: a call per step would cost more than the steps",
    "interceptors/policy.py:_read": "one line per field of the policy",
    "interceptors/tokens.py:_checked": "one check after the other, each with its message, then the claims",
}


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of the body, without the docstring."""
    body = node.body[1:] if ast.get_docstring(node) else node.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def test_layers_are_kept() -> None:
    done = subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


def test_no_module_is_a_drawer() -> None:
    drawers = [path for path in SOURCES if path.stem in DRAWERS or path.parent.name in DRAWERS]
    assert not drawers, "name a module for what lives in it"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_fit_on_a_screen(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= LONGEST_FILE
    name = path.relative_to(ROOT).as_posix()
    long = {f"{name}:{node.name}": length(node) for node in functions(path) if length(node) > LONGEST_FUNCTION}
    assert not {place: size for place, size in long.items() if place not in EXCEPTIONS}, long


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_says_what_lives_in_it(path: Path) -> None:
    source = path.read_text()
    assert not source.strip() or ast.get_docstring(ast.parse(source)), "add a module docstring"


@pytest.mark.parametrize("path", sorted(ROOT.glob("*_svc/**/servicer.py")), ids=lambda path: path.parent.name)
def test_servicer_methods_only_translate(path: Path) -> None:
    long = {node.name: length(node) for node in functions(path) if length(node) > LONGEST_SERVICER_METHOD}
    assert not long, "move rules to the capability's use cases"


@pytest.mark.parametrize("package", ["interceptors", "runtime"])
def test_public_names_exist_and_are_sorted(package: str) -> None:
    for path in sorted((ROOT / package).rglob("*.py")):
        tree = ast.parse(path.read_text())
        for node in tree.body:
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
                names = ast.literal_eval(node.value)
                assert len(names) == len(set(names)), path
                defined = {name for each in ast.walk(tree) for name in _defined(each)}
                assert set(names) <= defined, f"{path}: {set(names) - defined}"


def _defined(node: ast.AST) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Import | ast.ImportFrom):
        return [alias.asname or alias.name for alias in node.names]
    if isinstance(node, ast.Assign):
        return [target.id for target in node.targets if isinstance(target, ast.Name)]
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return [node.target.id]
    return []
