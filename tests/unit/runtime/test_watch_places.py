"""Places of health watches: one address takes a share of them at most."""

from __future__ import annotations

import pytest

from tenantmesh.runtime.health import WatchPlaces

A, B, C = "ipv4:192.0.2.1:5000", "ipv4:192.0.2.2:5000", "ipv4:192.0.2.3:5000"


def test_an_address_takes_its_share_and_no_more() -> None:
    places = WatchPlaces(most=5, per_address=2)
    assert [places.take(A) for _ in range(4)] == [True, True, False, False]
    assert places.take(B)
    assert [places.take(C) for _ in range(3)] == [True, True, False]
    assert not places.take(B), "all places are taken"
    places.give_back(A)
    assert places.take(B)
    assert not places.take(A)


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("ipv4:192.0.2.1:5000", "ipv4:192.0.2.1:6000", True),
        ("ipv4:192.0.2.1:5000", "ipv4:192.0.2.2:5000", False),
        ("ipv6:%5B2001:db8::1%5D:5000", "ipv6:[2001:db8::2]:6000", True),
        ("ipv6:%5B2001:db8::1%5D:5000", "ipv6:[2001:db8:0:1::1]:5000", False),
        ("ipv6:%5Bfe80::1%25eth0%5D:5000", "ipv6:%5Bfe80::2%25eth0%5D:5000", True),
        ("unix:", "unix:/run/socket", True),
        ("unix:", "ipv4:192.0.2.1:5000", False),
    ],
)
def test_a_host_is_one_address(one: str, other: str, alike: bool) -> None:
    places = WatchPlaces(most=5, per_address=1)
    assert places.take(one)
    assert places.take(other) is not alike


def test_a_place_is_free_once_it_is_given_back() -> None:
    places = WatchPlaces(most=1, per_address=1)
    for _ in range(3):
        assert places.take(A)
        places.give_back(A)
