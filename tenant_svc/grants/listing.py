"""The order in which grants are listed, and the tokens of its pages. Pure."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from tenantmesh.chassis.pages import PageTokens
from tenantmesh.chassis.requests import required
from tenantmesh.tenant_svc.balances.grant import Grant, remaining
from tenantmesh.tenant_svc.features.feature import FeatureDef

__all__ = ["TOKENS", "ListedGrant", "in_listing_order", "listed_now", "place_of"]

Place = tuple[bool, int, int, int, bytes]
"""A grant's place in the list: whether nothing of it is left, then the order of use."""

_PLACE = struct.Struct(">?Hqq16s")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST: Place = (False, 0, -(2**63), -(2**63), bytes(16))


@dataclass(frozen=True, slots=True)
class ListedGrant:
    """A grant, and the units of it that remain now, in its feature's unit."""

    grant: Grant
    remaining: int


def listed_now(grant: Grant, feature: FeatureDef, now: datetime) -> ListedGrant:
    """Return the grant with what remains of it. Grants are of METERED features, which have a period."""
    return ListedGrant(grant, remaining(grant, now, required(feature.period).start_of(now)))


def in_listing_order(grants: Sequence[Grant], features: Mapping[str, FeatureDef], now: datetime) -> list[ListedGrant]:
    """Return the grants in the order in which they are used. Used-up, expired and voided ones come last."""
    return sorted((listed_now(grant, features[grant.feature], now) for grant in grants), key=place_of)


def place_of(listed: ListedGrant) -> Place:
    """Return the place of the grant in the list."""
    priority, expire_time, create_time, grant_id = listed.grant.burn_key
    return listed.remaining == 0, priority, _microseconds(expire_time), _microseconds(create_time), grant_id


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _place_in(payload: bytes) -> Place:
    if len(payload) != _PLACE.size:
        raise ValueError("no place in a list of grants")
    used_up, priority, expire_time, create_time, grant_id = _PLACE.unpack(payload)
    return used_up, priority, expire_time, create_time, grant_id


TOKENS: PageTokens[Place] = PageTokens(b"tm.grant", _FIRST, lambda place: _PLACE.pack(*place), _place_in)
