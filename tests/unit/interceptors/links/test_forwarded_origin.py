"""Forwarded headers count from trusted proxies only."""

from __future__ import annotations

from tenantmesh.interceptors.links.forwarded_origin import ForwardedOrigin
from tenantmesh.interceptors.links.metadata_hygiene import MetadataHygiene
from tests.unit.interceptors.calls import call


def test_only_a_trusted_proxy_speaks_for_others() -> None:
    link = ForwardedOrigin(["10.0.0.0/8"])
    metadata = [("x-forwarded-for", "203.0.113.9, 198.51.100.7"), ("x-forwarded-host", "acme.mesh.test")]
    for peer, address, kept in (("ipv4:10.1.2.3:80", "198.51.100.7", True), ("ipv4:192.0.2.1:80", "192.0.2.1", False)):
        made = call(*metadata, peer=peer)
        MetadataHygiene().enter(made)
        link.enter(made)
        assert made.peer_address == address
        assert ("x-forwarded-host" in made.headers) is kept
