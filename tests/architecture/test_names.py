"""One name, one meaning: the public name of a type occurs once in the product, so that a reader knows which it is.

Types are classes and their aliases: what a module assigns to a name in CamelCase.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator

import pytest

from tests.architecture.test_layout import ROOT, SOURCES
from tests.architecture.test_public_names import statements, targets

CAMEL_CASE = re.compile(r"[A-Z][A-Z0-9]*[a-z][A-Za-z0-9]*")
# Names that occur more than once, each with its reason.
EXCEPTIONS: dict[str, str] = {}


def types_of(tree: ast.Module) -> Iterator[str]:
    """The public types that a module makes."""
    for node in statements(tree.body):
        if isinstance(node, ast.ClassDef):
            yield from () if node.name.startswith("_") else (node.name,)
        else:
            yield from filter(CAMEL_CASE.fullmatch, targets(node))


def doubles() -> dict[str, set[str]]:
    """The names of types that occur in several modules, with these."""
    modules = defaultdict(set)
    for path in SOURCES:
        for name in types_of(ast.parse(path.read_text())):
            modules[name].add(path.relative_to(ROOT).as_posix())
    return {name: found for name, found in modules.items() if len(found) > 1}


@pytest.mark.parametrize(
    "source", ["class Row: ...", "Row = tuple[str, int]", "Row: TypeAlias = object", "if x:\n    Row = int"]
)
def test_a_type_is_found_however_it_is_made(source: str) -> None:
    assert list(types_of(ast.parse(source))) == ["Row"]


def test_the_name_of_a_type_occurs_once() -> None:
    found = {name: modules for name, modules in doubles().items() if name not in EXCEPTIONS}
    assert not found, "name one of them for what it is in its place"


def test_every_exception_is_needed() -> None:
    assert set(EXCEPTIONS) <= set(doubles()), "remove the others"
