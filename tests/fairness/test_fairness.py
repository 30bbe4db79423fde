"""A short form of `make fairness`: the calls of the healthy tenant are served, whatever the loud one does. Times are
printed by the long form; here they would fail for a machine that is busy."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests.fairness.healthy import live
from tests.fairness.scene import Scene, running, sign_in
from tests.fairness.shapes import SHAPES, Shape

SECONDS = 1.5
LONG_FORM = {"unread_answers", "registrations", "checks", "limited_reads", "silent_connections"}
"""Shapes that resemble others, or are tested at the edge alone (tests/edge/test_connections.py)."""


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with running() as (scene, _stack):
        yield scene


@pytest.mark.parametrize("shape", [each for each in SHAPES if each.promised and each.name not in LONG_FORM], ids=str)
def test_a_healthy_tenant_is_served_beside_an_attack(scene: Scene, shape: Shape) -> None:
    asyncio.run(sign_in(scene))
    with shape.under_way(scene):
        seen = asyncio.run(live(scene, SECONDS))
    assert seen["reads"].milliseconds
    assert dict(seen["reads"].failures) == {}
    assert seen["sign-ins"].served >= shape.least_signed_in, dict(seen["sign-ins"].failures)
