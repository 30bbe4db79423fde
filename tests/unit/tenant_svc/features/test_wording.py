"""Amounts in words."""

from __future__ import annotations

import pytest

from tenantmesh.tenant_svc.features.wording import unit_words


@pytest.mark.parametrize(
    ("amount", "unit", "words"),
    [
        (1, "user", "user"),
        (0, "user", "users"),
        (100, "request", "requests"),
        (2, "invoice export", "invoice exports"),
        (2, "entry", "entries"),
        (2, "key", "keys"),
        (2, "box", "boxes"),
        (2, "branch", "branches"),
        (2, "bytes", "bytes"),
        (2, "GiB", "GiB"),
        (2, "m²", "m²"),
        (2, "API call", "API calls"),
    ],
)
def test_a_unit_agrees_with_its_amount(amount: int, unit: str, words: str) -> None:
    assert unit_words(amount, unit) == words
