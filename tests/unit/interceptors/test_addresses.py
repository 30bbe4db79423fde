"""Addresses in gRPC's peer strings, and the networks that count as one caller."""

from __future__ import annotations

import pytest

from tenantmesh.interceptors.addresses import address_of, network_of


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:127.0.0.1:5000", "127.0.0.1"),
        ("ipv6:[::1]:5000", "::1"),
        ("ipv6:%5Bfe80::1%25eth0%5D:5000", "fe80::1"),
        ("unix:/run/x", "unknown"),
    ],
)
def test_peer_strings_are_read(peer: str, address: str) -> None:
    assert address_of(peer) == address


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("not an address", "unknown"),
    ],
)
def test_one_host_counts_as_one_caller(address: str, network: str) -> None:
    assert network_of(address) == network
