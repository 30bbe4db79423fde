"""No folder is in a cycle: of two modules or folders beside each other, at most one knows the other."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.architecture.test_layout import PACKAGES, ROOT

PREFIX = "tenantmesh."

Imports = Mapping[str, set[str]]
"""By module, what it imports: modules, or names of modules."""


def module_of(path: Path) -> str:
    """The dotted name of a file, without the prefix."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(tree: ast.Module) -> Iterator[str]:
    """What a file imports of ours, by whole names."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(PREFIX):
            yield from (f"{node.module}.{alias.name}".removeprefix(PREFIX) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name.removeprefix(PREFIX) for alias in node.names if alias.name.startswith(PREFIX))


@cache
def imports() -> Imports:
    paths = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py") if "versions" not in path.parts]
    return {module_of(path): set(imported(ast.parse(path.read_text()))) for path in paths}


def child(name: str, folder: str) -> str:
    """Which module or folder in the folder a name is of; empty where it is of none."""
    return name.removeprefix(f"{folder}.").split(".")[0] if name.startswith(f"{folder}.") else ""


def siblings(folder: str, every: Imports) -> dict[str, set[str]]:
    """Who in a folder knows whom. The folder's own `__init__` only gathers names, so it counts as nobody."""
    known = {child(module, folder) for module in every} - {""}
    graph: dict[str, set[str]] = defaultdict(set)
    for module, names in every.items():
        own = child(module, folder)
        if own:
            graph[own] |= {child(name, folder) for name in names} & known - {own}
    return graph


def cycle(folder: str, every: Imports) -> list[str]:
    """A cycle in the folder; empty where there is none."""
    try:
        TopologicalSorter(siblings(folder, every)).prepare()
    except CycleError as error:
        return [str(name) for name in error.args[1]]
    return []


FOLDERS = sorted({module.rpartition(".")[0] for module in imports()} - {""})


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_folder_is_in_a_cycle(folder: str) -> None:
    assert cycle(folder, imports()) == [], "move what both need below both"


def test_a_cycle_of_folders_is_found_though_no_module_is_in_one() -> None:
    every = {"a.one.x": {"a.two.y"}, "a.two.y": set(), "a.two.z": {"a.one.w.name"}, "a.one.w": set()}
    assert set(cycle("a", every)) == {"one", "two"}
    assert cycle("a.one", every) == cycle("a.two", every) == []
