"""What a return gives back: what the holder has out, and nothing of others."""

from __future__ import annotations

import pytest

from tenantmesh.tenant_svc.allowances.holder import Leased, LeaseHolder, divided

MINE = LeaseHolder("billing", ("pool", "mine"))
OUT = [Leased("files", "pool", 5), Leased("billing", "mine", 3), Leased("billing", "pool", 2)]


@pytest.mark.parametrize(
    ("amount", "parts"),
    [
        (1, [Leased("billing", "pool", 1)]),
        (2, [Leased("billing", "pool", 2)]),
        (6, [Leased("billing", "pool", 2), Leased("files", "pool", 4)]),
        (9, [Leased("billing", "pool", 2), Leased("files", "pool", 5), Leased("billing", "mine", 2)]),
        (99, [Leased("billing", "pool", 2), Leased("files", "pool", 5), Leased("billing", "mine", 3)]),
        (0, []),
    ],
)
def test_a_return_is_divided_by_account_and_own_name_first(amount: int, parts: list[Leased]) -> None:
    assert divided(amount, OUT, MINE) == parts
