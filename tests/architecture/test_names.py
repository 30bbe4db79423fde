"""One name, one meaning: a public class name occurs once in the product, so that a reader knows which class it is."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator

from tests.architecture.test_layout import ROOT, SOURCES

# Class names that occur more than once, each with its reason.
EXCEPTIONS: dict[str, str] = {}


def public_classes() -> Iterator[tuple[str, str]]:
    """Name and module of every public class of the product."""
    for path in SOURCES:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                yield node.name, path.relative_to(ROOT).as_posix()


def doubles() -> dict[str, list[str]]:
    """The class names that occur in several modules, with these."""
    modules = defaultdict(list)
    for name, module in public_classes():
        modules[name].append(module)
    return {name: found for name, found in modules.items() if len(found) > 1}


def test_a_class_name_occurs_once() -> None:
    found = {name: modules for name, modules in doubles().items() if name not in EXCEPTIONS}
    assert not found, "name one of them for what it is in its place"


def test_every_exception_is_needed() -> None:
    assert set(EXCEPTIONS) <= set(doubles()), "remove the others"
