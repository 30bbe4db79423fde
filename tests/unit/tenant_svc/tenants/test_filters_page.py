"""docs/reference/filters.md says what ListTenants takes, and how it refuses."""

from __future__ import annotations

import re

import pytest

from tenantmesh.interceptors.errors import InvalidArgument
from tenantmesh.tenant_svc.tenants.query import FIELDS, ORDERS
from tests.architecture.test_layout import ROOT

PAGE = (ROOT / "docs" / "reference" / "filters.md").read_text(encoding="utf-8")
ROWS = [line.strip("| ").split(" | ") for line in PAGE.splitlines() if line.startswith("| `")]
CONDITIONS = re.findall(r"`([^`]+)`", " ".join(row[0] for row in ROWS[:11]))
REFUSALS = [(row[0].strip("`"), row[1]) for row in ROWS if row[1].startswith("column")]
NAMED = set(re.findall(r"[a-z_]{2,}", PAGE.split("## Fields of tenants")[1].split("A condition that")[0]))


def names(refusal: InvalidArgument) -> set[str]:
    """The fields that a refusal lists."""
    return set(refusal.violations[0].description.rpartition(" by ")[2].split(", "))


@pytest.mark.parametrize("condition", CONDITIONS)
def test_a_condition_of_the_page_is_taken(condition: str) -> None:
    assert FIELDS.selected(condition).text


@pytest.mark.parametrize(("text", "description"), REFUSALS)
def test_a_refusal_is_as_the_page_shows_it(text: str, description: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        FIELDS.selected(text)
    assert caught.value.violations[0].description.startswith(description.removesuffix("…"))


def test_the_page_names_every_field_and_every_order() -> None:
    with pytest.raises(InvalidArgument) as caught:
        FIELDS.selected("nothing = 1")
    assert names(caught.value) <= NAMED
    with pytest.raises(InvalidArgument) as caught:
        ORDERS.ordered("nothing")
    assert all(f"`{name}`" in PAGE.split("## Orders")[1].split("## Pages")[0] for name in names(caught.value))
