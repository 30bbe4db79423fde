"""The public surface: the facade, the modules that README.md lists beside it, and what a handler reads."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tenantmesh import interceptors
from tenantmesh.interceptors.call import Call

ROOT = Path(__file__).resolve().parents[3]
PACKAGE = "tenantmesh.interceptors"
README = (ROOT / "interceptors" / "README.md").read_text()
READERS = [
    ROOT / "interceptors" / "README.md",
    *sorted((ROOT / "docs" / "how-to").glob("*.md")),
    *sorted((ROOT / "tests" / "example").glob("*.py")),
]


def section(heading: str) -> str:
    """The part of README.md under a heading."""
    return README.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


VOCABULARY = set(re.findall(r"^\| `interceptors\.(\w+)` \|", section("What to import"), re.MULTILINE))


def listed(module: str) -> set[str]:
    return set(importlib.import_module(f"{PACKAGE}.{module}").__all__)


def library() -> set[str]:
    """Every name that a module of the library offers."""
    found: set[str] = set()
    for path in (ROOT / "interceptors").rglob("*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
                found |= set(ast.literal_eval(node.value))
    return found


def test_the_facade_exports_exactly_what_it_lists() -> None:
    assert all(getattr(interceptors, name) is not None for name in interceptors.__all__)
    ours = {
        name
        for name, value in vars(interceptors).items()
        if not name.startswith("_") and not isinstance(value, ModuleType)
    }
    assert ours - {"import_module", "Any", "TYPE_CHECKING", "annotations"} == set(interceptors.__all__)


def test_a_name_that_the_facade_lacks_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Chains'"):
        _ = interceptors.Chains


def test_the_facade_loads_nothing_heavy() -> None:
    heavy = {"redis", "sqlalchemy", "asyncpg", "alembic", "pydantic", "structlog", "opentelemetry", "prometheus_client"}
    script = f"import sys, {PACKAGE}; print(*sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not done.stdout.split()


@pytest.mark.parametrize("module", sorted(VOCABULARY))
def test_the_modules_of_the_readme_are_vocabulary(module: str) -> None:
    assert (ROOT / "interceptors" / f"{module}.py").exists(), "folders are machinery"
    assert listed(module)


@pytest.mark.parametrize("page", READERS, ids=lambda path: path.name)
def test_what_adopters_are_shown_is_public(page: Path) -> None:
    """Imports, and names that are called."""
    text = page.read_text()
    for module, names in re.findall(rf"^\s*from {PACKAGE}(\.[\w.]+)? import ([^\n#]+)", text, re.MULTILINE):
        assert not module or module[1:] in VOCABULARY, f"{names} of {module} can't be imported by an adopter"
    shown = set(re.findall(r"(?<![\w.])(\w+)(?=\()", text)) & library()
    public = set(interceptors.__all__).union(*(listed(module) for module in VOCABULARY))
    assert not shown - public, "add these to the facade, or their module to README.md"


def test_a_handler_may_read_what_the_readme_says() -> None:
    table = section("What a handler can read").partition("\n\nTo refuse")[0]
    documented = set(re.findall(r"`\.(\w+)(?:\(\))?`", table))
    assert {name for name in dir(Call) if not name.startswith("_")} == documented
