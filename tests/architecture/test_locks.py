"""Advisory locks have their numbers from one registry."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tenantmesh.chassis.locks import hold, try_hold
from tenantmesh.runtime import locks
from tests.architecture.test_layout import ROOT, SOURCES

TAKES_A_LOCK = re.compile(r"pg_(?:try_)?advisory_(?:xact_)?lock\w*\s*\(")
WITH_A_NUMBER = re.compile(TAKES_A_LOCK.pattern + r"\s*(?:0x)?\d")
FUNCTIONS = {hold.__name__, try_hold.__name__}
ELSEWHERE = {
    "runtime/database/statement.py": "refuses statements with locks that outlive a transaction",
    "runtime/locks.py": "is the registry",
    "chassis/locks.py": "takes the lock whose number it is given; the next test reads what it is given",
}


def numbers() -> dict[str, int]:
    return {name: getattr(locks, name) for name in locks.__all__}


def users() -> list[Path]:
    """The modules that take an advisory lock."""
    others = (path for path in SOURCES if path not in {ROOT / each for each in ELSEWHERE})
    return [path for path in others if TAKES_A_LOCK.search(path.read_text())]


def taken(tree: ast.Module) -> Iterator[str]:
    """The numbers that a module gives to the functions of `chassis.locks`, as they are written."""
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    direct = [alias for node in imports if node.module == hold.__module__ for alias in node.names]
    names = {alias.asname or alias.name for alias in direct if alias.name in FUNCTIONS}
    package, _, module = hold.__module__.rpartition(".")
    modules = [alias.asname or alias.name for node in imports if node.module == package for alias in node.names
               if alias.name == module]  # fmt: skip
    names |= {f"{each}.{function}" for each in modules for function in FUNCTIONS}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in names:
            by_name = [each.value for each in node.keywords if each.arg == "number"]
            yield ast.unparse((by_name or node.args[1:])[0])


def numbers_taken() -> dict[str, list[str]]:
    """By module, the numbers that it takes."""
    found = {name_of(path): list(taken(ast.parse(path.read_text()))) for path in SOURCES}
    return {module: numbers for module, numbers in found.items() if numbers}


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_no_two_locks_share_a_number() -> None:
    assert len(set(numbers().values())) == len(numbers())
    assert all(0 < number < 2**63 for number in numbers().values())


def test_the_registry_lists_every_number() -> None:
    assert {name for name in vars(locks) if name.isupper()} == set(locks.__all__)


def test_processes_of_older_versions_use_the_same_numbers() -> None:
    assert numbers() == {
        "MIGRATIONS": 0x746D,
        "EVENT_LOG": 0x746D_5F65_7665_6E74,
        "EVENT_LOG_PRUNING": 0x746D_5F65_7665_6E75,
        "ALLOCATION_PRUNING": 0x746D_5F65_7665_6E76,
        "LEDGER_PRUNING": 0x746D_5F65_7665_6E77,
        "SIGNING_KEYS": 0x746D_6B65_7973,
    }


@pytest.mark.parametrize("path", users(), ids=name_of)
def test_a_lock_has_its_number_from_the_registry(path: Path) -> None:
    source = path.read_text()
    assert not WITH_A_NUMBER.search(source), "add the number to runtime/locks.py and name it here"
    assert re.search(r"\blocks\.[A-Z]", source), "take the number from runtime.locks"


def test_a_lock_is_held_by_its_name_in_the_registry() -> None:
    assert numbers_taken()
    unnamed = {
        module: others
        for module, written in numbers_taken().items()
        if (others := set(written) - {f"locks.{name}" for name in locks.__all__})
    }
    assert not unnamed, "write the lock as `locks.NAME`, of runtime.locks, where it is taken"


def test_every_number_is_taken() -> None:
    in_statements = {f"locks.{name}" for path in users() for name in re.findall(r"locks\.([A-Z_]+)", path.read_text())}
    by_function = {number for written in numbers_taken().values() for number in written}
    assert in_statements | by_function == {f"locks.{name}" for name in locks.__all__}


@pytest.mark.parametrize(
    "source",
    [
        "from tenantmesh.chassis.locks import hold\nhold(c, 5)",
        "from tenantmesh.chassis.locks import try_hold as hold\nhold(c, number=5)",
        "from tenantmesh.chassis import locks\nlocks.hold(c, 5)",
    ],
)
def test_a_number_is_found_however_the_lock_is_taken(source: str) -> None:
    assert list(taken(ast.parse(source))) == ["5"]
