"""A repository is a module of functions over a connection (docs/decisions/0024)."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
REPOSITORIES = sorted(ROOT.glob("*_svc/**/*repository.py"))
DOORS = {"tenant", "system", "tenant_transaction", "system_transaction", "read"}
FIRST = {"Connection": "statements", "Record": "maps a row"}
"""The types of a function's first parameter, each with what the function then does."""
EXCEPTIONS = {
    "tenant_svc/tenants/repository.py:get": "one message to the database and no transaction: the doors send it",
    "tenant_svc/allowances/repository.py:moment_or_now": "a part of statements, not a statement",
}


def place_of(path: Path, name: str) -> str:
    return f"{path.relative_to(ROOT).as_posix()}:{name}"


def functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [
        node
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and place_of(path, node.name) not in EXCEPTIONS
    ]


def first_type(function: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    """The annotation of the first parameter."""
    parameters = [*function.args.posonlyargs, *function.args.args]
    return ast.unparse(parameters[0].annotation) if parameters and parameters[0].annotation else ""


@pytest.mark.parametrize("path", REPOSITORIES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_public_function_works_on_a_connection_or_a_row(path: Path) -> None:
    public = [each for each in functions(path) if not each.name.startswith("_")]
    others = {each.name: first_type(each) for each in public if first_type(each) not in FIRST}
    assert not others, "take the Connection first; the use case opens it"


@pytest.mark.parametrize("path", REPOSITORIES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_repository_is_functions_and_opens_no_door(path: Path) -> None:
    nodes = list(ast.walk(ast.parse(path.read_text())))
    members = [(node.name, each) for node in nodes if isinstance(node, ast.ClassDef) for each in node.body]
    classes = {name for name, each in members if isinstance(each, ast.AsyncFunctionDef)}
    assert not classes, "write functions over a Connection"
    inner = [node for function in functions(path) for node in ast.walk(function)]
    called = {node.func.attr for node in inner if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)}
    assert not called & DOORS, "let the use case open the door, and take its Connection"


def test_there_are_repositories() -> None:
    assert len(REPOSITORIES) > 5


@pytest.mark.parametrize("place", EXCEPTIONS)
def test_every_exception_is_needed(place: str) -> None:
    path, _, name = place.partition(":")
    tree = ast.parse((ROOT / path).read_text())
    named = [each for each in tree.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)]
    assert [first_type(each) for each in named if each.name == name and first_type(each) not in FIRST], "remove it"
