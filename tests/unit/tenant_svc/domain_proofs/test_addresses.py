"""The addresses that a check never connects to."""

from __future__ import annotations

import ipaddress

import pytest

from tenantmesh.tenant_svc.domain_proofs.addresses import AddressRules

NONE = AddressRules(())


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.1.2.3"),
        *("192.0.2.1", "198.18.0.1", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255", "192.0.0.1"),
        *("::", "::1", "fe80::1", "fc00::1", "fd12::1", "fec0::1", "ff02::1", "2001:db8::1", "100::1"),
        *("::ffff:0.0.0.0", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254"),  # IPv4 addresses, mapped
        *("64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1"),  # translated by a NAT64
        *("2002:7f00:1::1", "2002:c0a8:101::1"),  # tunnelled by 6to4
        *("2001:0:7f00:1::", "::127.0.0.1"),
        *("192.0.0.9", "192.0.0.10", "192.88.99.1", "2001:1::1"),  # anycast, which the nearest router answers
        "3fff::1",  # for documents, as Python learned late
    ],
)
def test_private_addresses_are_not_connected_to(address: str) -> None:
    assert not NONE.may_connect(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_public_addresses_are(address: str) -> None:
    assert NONE.may_connect(ipaddress.ip_address(address))


def test_the_address_of_every_interface_is_not() -> None:
    assert not NONE.may_connect(ipaddress.IPv4Address(0))


def test_networks_that_are_named_are() -> None:
    rules = AddressRules(["127.0.0.0/8"])
    assert rules.may_connect(ipaddress.ip_address("127.0.0.1"))
    assert not rules.may_connect(ipaddress.ip_address("10.0.0.1"))
    assert not rules.may_connect(ipaddress.ip_address("::1"))
