"""`__all__` of a module lists what other modules use of it: each name exists and is used, none is missing, none stands
twice. The facade of the library lists what adopters use.

Ruff keeps them sorted (RUF022).
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

from tests.architecture.test_layout import PACKAGES, ROOT

READERS = (*PACKAGES, "tests")
FOR_ADOPTERS = "tenantmesh.interceptors"
"""The facade of the library, whose names are used elsewhere."""
LATE = re.compile(r"importlib\.import_module\('([\w.]+)'\)")
"""An import that waits until it is needed."""
_BY_SERVICE = "tests/architecture reads it of each service's module"
UNSEEN = {
    "tenantmesh.deploy.program:main": "the command `tenantmesh` runs it (pyproject.toml)",
    "tenantmesh.deploy.stack.supervision.watchdog:main": "`python -c` runs it, in a process of its own",
    "tenantmesh.interceptors.protos:include_path": "the build scripts of adopters call it",
    "tenantmesh.interceptors.testing:MemoryEntitlementSource": "adopters type their fixtures of entitlements with it",
    "tenantmesh.tenant_svc.followers:followers": "the declaration of a table, which `FOLLOWERS` writes",
    "tenantmesh.auth_svc.app:SERVICES": _BY_SERVICE,
    "tenantmesh.auth_svc.tables:MODULES": _BY_SERVICE,
    "tenantmesh.tenant_svc.tables:MODULES": _BY_SERVICE,
}
"""The names whose uses this test does not see, each with the use."""
NEVER_READ = {
    "tenantmesh.deploy.commands.calls:_KNOWN_DETAILS": "the import is what counts: details of errors can be unpacked",
}
"""The names that their module makes and does not read, each with the reason."""


def module_of(path: Path) -> str:
    """The dotted name under which a file is imported."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    return name if parts[0] == "tooling" else f"tenantmesh.{name}"


def is_imported(path: Path) -> bool:
    """Alembic loads its files by path, and `python -m` runs a `__main__`: nobody imports names from those."""
    return "migrations" not in path.parts and path.stem != "__main__"


FILES = {module_of(path): path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))}
MODULES = [module for module, path in FILES.items() if is_imported(path)]


def statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of a module, also those under `if`, `try` and `with`."""
    for node in body:
        yield node
        for inner in ("body", "orelse", "finalbody"):
            if isinstance(node, ast.If | ast.Try | ast.With):
                yield from statements(getattr(node, inner, []))


def targets(node: ast.stmt) -> list[str]:
    """The names to which a statement assigns."""
    assigned = (
        node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    )
    return [each.id for target in assigned for each in ast.walk(target) if isinstance(each, ast.Name)]


def defined(tree: ast.Module) -> set[str]:
    """The names that a module makes, other than by importing them."""
    made: set[str] = set()
    for node in statements(tree.body):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            made.add(node.name)
        else:
            made.update(targets(node))
    return made


def imported(tree: ast.Module) -> set[str]:
    """The names that a module imports."""
    found = [node for node in statements(tree.body) if isinstance(node, ast.Import | ast.ImportFrom)]
    return {alias.asname or alias.name for node in found for alias in node.names}


def listed(tree: ast.Module) -> list[str] | None:
    """The `__all__` of a module, or None."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and targets(node) == ["__all__"]:
            return [str(name) for name in ast.literal_eval(node.value)]
    return None


def public(names: set[str]) -> set[str]:
    return {name for name in names if not name.startswith("_")}


def uses(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Module and name, wherever a name of ours is imported or read as an attribute of its module."""
    modules: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                yield node.module, alias.name
                modules[alias.asname or alias.name] = f"{node.module}.{alias.name}"
        elif isinstance(node, ast.Import):
            modules.update((alias.asname or alias.name, alias.name) for alias in node.names)
        elif isinstance(node, ast.Assign) and (late := LATE.fullmatch(ast.unparse(node.value))):
            modules.update((name, late[1]) for name in targets(node))
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield modules.get(ast.unparse(node.value), ""), node.attr


@cache
def used() -> Mapping[str, set[str]]:
    """By module, the names that other modules use of it."""
    found: dict[str, set[str]] = defaultdict(set)
    for package in READERS:
        for path in (ROOT / package).rglob("*.py"):
            for module, name in uses(ast.parse(path.read_text())):
                if module != module_of(path):
                    found[module].add(name)
    return found


@pytest.mark.parametrize("module", MODULES)
def test_all_lists_what_others_use(module: str) -> None:
    tree = ast.parse(FILES[module].read_text())
    made, names = defined(tree), listed(tree)
    assert names is not None or not public(made), "add `__all__` with the names that other modules use"
    names = names or []
    assert len(names) == len(set(names)), "a name stands twice"
    assert not set(names) - made - imported(tree), "these names do not exist"
    assert not (public(made) & used()[module]) - set(names), "other modules use these names: list them"


def unused(module: str) -> set[str]:
    """The names of a module's `__all__` that no other module uses."""
    names = listed(ast.parse(FILES[module].read_text())) or []
    return set() if module == FOR_ADOPTERS else set(names) - used()[module]


@pytest.mark.parametrize("module", MODULES)
def test_others_use_what_all_lists(module: str) -> None:
    left = {name for name in unused(module) if f"{module}:{name}" not in UNSEEN}
    assert not left, "take these names out of `__all__`, and out of the module if it does not use them either"


def dead(module: str) -> set[str]:
    """The names that a module makes and neither lists nor reads. What a decorator registers is read by others."""
    tree = ast.parse(FILES[module].read_text())
    functions = [node for node in statements(tree.body) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    registered = {node.name for node in functions if node.decorator_list}
    read = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    made = {name for name in defined(tree) if not name.startswith("__")}
    return made - set(listed(tree) or []) - registered - read


@pytest.mark.parametrize("module", MODULES)
def test_a_module_reads_the_names_that_it_keeps_for_itself(module: str) -> None:
    assert not {name for name in dead(module) if f"{module}:{name}" not in NEVER_READ}, "nobody uses these names"


def test_every_exception_is_needed() -> None:
    assert set(UNSEEN) == {f"{module}:{name}" for module in MODULES for name in unused(module)}, "remove the others"
    assert set(NEVER_READ) == {f"{module}:{name}" for module in MODULES for name in dead(module)}, "remove the others"
