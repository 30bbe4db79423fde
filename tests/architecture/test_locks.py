"""Advisory locks have their numbers from one registry."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tenantmesh.runtime import locks
from tests.architecture.test_layout import ROOT, SOURCES

TAKES_A_LOCK = re.compile(r"pg_(?:try_)?advisory_(?:xact_)?lock\w*\s*\(")
WITH_A_NUMBER = re.compile(TAKES_A_LOCK.pattern + r"\s*(?:0x)?\d")
ELSEWHERE = {
    "runtime/database/statement.py": "refuses statements with locks that outlive a transaction",
    "runtime/locks.py": "is the registry",
    "chassis/locks.py": "takes the lock whose number it is given",
}


def numbers() -> dict[str, int]:
    return {name: getattr(locks, name) for name in locks.__all__}


def users() -> list[Path]:
    """The modules that take an advisory lock."""
    others = (path for path in SOURCES if path not in {ROOT / each for each in ELSEWHERE})
    return [path for path in others if TAKES_A_LOCK.search(path.read_text())]


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
