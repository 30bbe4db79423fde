"""Every list comes in pages, by bytes as well as by rows (`chassis/pages.py`)."""

from __future__ import annotations

import ast
from functools import cache

import pytest
from google.protobuf.descriptor import MethodDescriptor

from tests.architecture.test_layout import ROOT
from tests.transports import METHODS, full_name

LISTS = tuple(method for method in METHODS if "next_page_token" in method.output_type.fields_by_name)


@cache
def handlers() -> dict[str, ast.AST]:
    """The handlers of every servicer, by the name of their method."""
    trees = [ast.parse(path.read_text()) for path in ROOT.glob("*_svc/**/servicer.py")]
    return {node.name: node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef)}


@pytest.mark.parametrize("method", LISTS, ids=full_name)
def test_a_list_method_gives_as_many_items_as_fit_into_a_message(method: MethodDescriptor) -> None:
    called = {node.attr for node in ast.walk(handlers()[method.name]) if isinstance(node, ast.Attribute)}
    assert "as_messages" in called, "make the answer with `Page.as_messages`, which stops before it is too large"


def test_every_method_that_lists_has_pages() -> None:
    assert {method.name for method in METHODS if method.name.startswith("List")} == {method.name for method in LISTS}
