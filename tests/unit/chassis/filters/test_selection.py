"""Filters checked against fields: values by type, refusals that say what is right, and one shape for many values."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from tenantmesh.chassis.filters.selection import Fields
from tenantmesh.chassis.filters.texts import TextField, prefix_bounds
from tenantmesh.interceptors.errors import InvalidArgument
from tenantmesh.runtime.database import StatementShapes, compiled
from tests.integration.chassis.things import FIELDS, THINGS


def refusal(fields: Fields, text: str) -> str:
    with pytest.raises(InvalidArgument) as caught:
        fields.selected(text)
    (violation,) = caught.value.violations
    assert violation.field == "filter"
    return violation.description


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("stat = A", "column 1, at “stat = A”: there is no such field; filter by slug, title, note, state, size"),
        ("a AND (nothing:*)", "column 8, at “nothing:*)”: there is no such field"),
        ("slug > a", "column 1, at “slug > a”: slug does not take >; it takes = != :"),
        ("state:ACTIVE", "state does not take :; it takes = !="),
        ("kept < true", "kept does not take <; it takes = !="),
        ("hosts != a", "hosts does not take !=; it takes :"),
        ("state = active", "column 9, at “active”: state is one of ACTIVE, SUSPENDED, DELETED"),
        ("state = A*", "state is one of ACTIVE"),
        ("size = 1.5", "size is compared with a whole number, such as 3"),
        ("size = \u0661", "size is compared with a whole number"),
        ("size = 9999999999999999999", "size is compared with a whole number"),
        ("kept = yes", "kept is compared with true or false"),
        ("made > 2026-01-31", "made is compared with a time of RFC 3339, such as 2026-01-31T12:00:00Z"),
        ("made > 2026-02-30T00:00:00Z", "made is compared with a time"),
        ("made > 0001-01-01T00:00:00+14:00", "made is compared with a time"),
        ("made > 2026-01-31T12:00:00", "made is compared with a time"),
        ("gone:2026-01-31T12:00:00Z", "`:` takes * alone here"),
        ("parent = 7", "parent is compared with a UUID"),
        ("slug.x = a", "slug has no keys"),
        ("labels = prod", "labels is a map; write labels.KEY = VALUE, or labels:KEY"),
        ("labels.a.b = c", "put quotes around a key with dots"),
        ("labels:e*", "`:` finds whole keys of the map; leave out the *"),
        ("hosts:*.example", "`:` finds whole entries of the list; leave out the *"),
        ("title:a*", "`:` finds the text anywhere in the field; leave out the *"),
        ("*corp", "words are found by their beginning"),
        ("'--'", "a search needs a letter or a digit"),
    ],
)  # fmt: skip
def test_a_filter_that_does_not_fit_is_refused(text: str, says: str) -> None:
    assert says in refusal(FIELDS, text)


def test_a_list_without_a_search_refuses_one() -> None:
    fields = Fields({"slug": TextField(THINGS.c.slug)})
    assert "this list has no search; compare one of slug" in refusal(fields, "acme")


def test_values_are_never_in_the_sql() -> None:
    text = "slug = 'canary' OR title:canary OR labels.canary = 'can*ary' OR hosts:canary OR canary OR slug = 'can*'"
    selection = FIELDS.selected(text)
    sql = compiled(select(THINGS.c.id).where(FIELDS.condition(selection.shape))).sql
    assert "can" not in sql
    assert "canary" in str(selection.parameters)


def test_filters_of_one_shape_share_a_statement() -> None:
    built: list[Any] = []

    def build(shape: Any) -> Any:
        built.append(shape)
        return select(THINGS.c.id).where(FIELDS.condition(shape))

    shapes = StatementShapes(build, kept=2)
    first, second = (FIELDS.selected(f"slug = {name} AND size > {size}") for name, size in (("a", 1), ("b", 2)))
    assert shapes.of(first.shape) is shapes.of(second.shape)
    assert shapes.of(first.shape).planned_anew
    assert first.parameters != second.parameters
    for text in ("slug:a", "slug = a*", "slug:a", "slug = a AND size > 1"):
        shapes.of(FIELDS.selected(text).shape)
    assert len(built) == 4, "two are kept, so the first one was built again"


def test_equal_filters_have_one_spelling() -> None:
    texts = ("size>1 slug='a'", '  size > 1\n AND slug = "a"', "(size > 1) AND (slug = a)")
    assert {FIELDS.selected(text).text for text in texts} == {'size > "1" AND slug = "a"'}
    assert FIELDS.selected(" ").text == ""


@pytest.mark.parametrize(
    ("prefix", "end"),
    [("a", "b"), ("aé", "aê"), ("\ud7ff", "\ue000"), ("a\U0010ffff", "b"), ("\U0010ffff", None), ("", None)],
)
def test_texts_with_a_prefix_are_a_range(prefix: str, end: str | None) -> None:
    assert prefix_bounds(prefix) == (None if end is None else (prefix, end))
