"""Processes that charge the same allowances."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.unit.interceptors.leases.processes import Mesh


@pytest.fixture
async def mesh() -> AsyncIterator[Mesh]:
    made = Mesh(reads=100, writes=10, much=1_000_000, open=None, nothing=0)
    yield made
    for process in made.processes:
        await process.close()
