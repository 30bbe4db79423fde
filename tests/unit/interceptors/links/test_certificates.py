"""Callers who are known by their client certificate, over real mutual TLS."""

from __future__ import annotations

from pathlib import Path

import grpc
import pytest
from notes.v1 import notes_service_pb2 as pb
from notes.v1.notes_service_pb2_grpc import NotesServiceStub, add_NotesServiceServicer_to_server

from tenantmesh.interceptors import Chain, ChainSettings
from tenantmesh.interceptors.caller import ALL_USAGE, UsageScope
from tenantmesh.interceptors.client import channel, tls_credentials
from tenantmesh.interceptors.credentials import parse_identities
from tenantmesh.interceptors.testing import TestMesh
from tests.authority import Authority
from tests.example.notes import Notes

BILLING, STRANGER = "spiffe://mesh.test/billing", "spiffe://mesh.test/stranger"
ACME = (("x-tenant-slug", "acme"),)


async def test_a_known_identity_is_a_service_and_another_is_nobody(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    own, ca = authority.identity("spiffe://mesh.test/notes"), authority.certificate
    settings = ChainSettings(identities=parse_identities(f"{BILLING}=notes.read; spiffe://mesh.test/idle="))
    async with TestMesh(settings) as mesh:
        acme = mesh.add_tenant("acme")
        chain = Chain(pb.DESCRIPTOR.services_by_name.values(), mesh.ports(), settings, complete=False)
        server = grpc.aio.server(interceptors=[chain.aio_interceptor()])
        add_NotesServiceServicer_to_server(Notes(), server)
        secured = grpc.ssl_server_credentials([own.pair], ca.read_bytes(), require_client_auth=True)
        target = f"127.0.0.1:{server.add_secure_port('127.0.0.1:0', secured)}"
        await server.start()
        try:
            billing = authority.identity(BILLING)
            tls = tls_credentials(ca, billing.certificate, billing.key)
            async with channel(target, tls=tls) as known:
                answer = await NotesServiceStub(known).GetNote(pb.GetNoteRequest(text="a"), metadata=ACME)
                assert (answer.caller, answer.tenant_id) == (BILLING, str(acme.id))
            stranger = authority.identity(STRANGER)
            tls = tls_credentials(ca, stranger.certificate, stranger.key)
            async with channel(target, tls=tls) as unknown:
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await NotesServiceStub(unknown).GetNote(pb.GetNoteRequest(text="a"), metadata=ACME)
            assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
        finally:
            await server.stop(0)


@pytest.mark.parametrize("text", ["billing=notes.read", "spiffe://mesh.test/billing", "=x"])
def test_what_is_no_identity_is_refused_with_how_to_write_one(text: str) -> None:
    with pytest.raises(ValueError, match="spiffe://domain/path"):
        parse_identities(text)


def test_an_identity_names_the_meters_and_gauges_that_it_may_use() -> None:
    text = (
        f"{BILLING}=quota.lease meter:reads meter:writes; {STRANGER}=quota.lease quota.gauges gauge:seats; {BILLING}2="
    )
    named, other, unnamed = parse_identities(text).values()
    assert named.permissions == {"quota.lease"}
    assert named.usage == UsageScope(meters=frozenset({"reads", "writes"}))
    assert other.usage == UsageScope(gauges=frozenset({"seats"}))
    assert unnamed.usage == ALL_USAGE, "as before they could name any"
