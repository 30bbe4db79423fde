"""Names in refusals, of which there may be very many."""

from __future__ import annotations

import pytest

from tenantmesh.interceptors.errors import FieldViolation, InvalidArgument
from tenantmesh.interceptors.names import in_metadata, in_words

TEN = "0, 1, 2, 3, 4, 5, 6, 7, 8, 9"


@pytest.mark.parametrize(
    ("count", "words", "metadata"),
    [
        (0, "", {"plans": ""}),
        (2, "0, 1", {"plans": "0,1"}),
        (10, TEN, {"plans": TEN.replace(" ", "")}),
        (13, f"{TEN} and 3 more", {"plans": TEN.replace(" ", ""), "plans_more": "3"}),
    ],
)
def test_ten_are_named_and_the_rest_counted(count: int, words: str, metadata: dict[str, str]) -> None:
    names = [str(number) for number in range(count)]
    assert in_words(names) == words
    assert in_metadata("plans", names) == metadata


def test_so_are_fields() -> None:
    named = InvalidArgument.fields(FieldViolation(str(number), "is bad") for number in range(10)).violations
    assert named[9] == FieldViolation("9", "is bad")
    counted = InvalidArgument.fields(FieldViolation(str(number), "is bad") for number in range(13))
    assert [each.field for each in counted.violations] == [str(number) for number in range(10)]
    assert counted.violations[9].description == "is bad; 3 more fields break their rules"
