"""Rates as data."""

from __future__ import annotations

import pytest

from tenantmesh.interceptors.limits import Rate


def test_a_rate_admits_something() -> None:
    with pytest.raises(ValueError, match="must be above zero"):
        Rate(0, 1)
