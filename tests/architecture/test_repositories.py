"""A repository is a module of functions over a connection (docs/decisions/0024)."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
REPOSITORIES = sorted(ROOT.glob("*_svc/**/*repository.py"))
DOORS = {"tenant", "system", "tenant_transaction", "system_transaction"}


@pytest.mark.parametrize("path", REPOSITORIES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_repository_is_functions_and_opens_no_door(path: Path) -> None:
    nodes = list(ast.walk(ast.parse(path.read_text())))
    members = [(node.name, each) for node in nodes if isinstance(node, ast.ClassDef) for each in node.body]
    classes = {name for name, each in members if isinstance(each, ast.AsyncFunctionDef)}
    assert not classes, "write functions over a Connection"
    called = {node.func.attr for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)}
    assert not called & DOORS, "let the use case open the door, and take its Connection"


def test_there_are_repositories() -> None:
    assert len(REPOSITORIES) > 5
