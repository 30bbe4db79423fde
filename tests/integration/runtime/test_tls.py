"""TLS from files: mutual when a client CA is set, and rotated without a restart."""

from __future__ import annotations

import datetime
import os
import time
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tenantmesh.runtime.health import Health
from tenantmesh.runtime.server import Application, make_server
from tenantmesh.runtime.settings import ServerSettings
from tests.ports import free_port

health_stub: Any = health_pb2_grpc.HealthStub


class Authority:
    """Issues certificates for localhost."""

    def __init__(self, name: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.certificate = self._signed(self._name, self._key.public_key(), authority=True)

    def issue(self, name: str) -> tuple[bytes, bytes]:
        """Return a key and its certificate."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return pem, self._signed(subject, key.public_key(), authority=False)

    def _signed(self, subject: x509.Name, key: ec.EllipticCurvePublicKey, *, authority: bool) -> bytes:
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder(subject_name=subject, issuer_name=self._name, public_key=key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(minutes=1))
            .not_valid_after(now + datetime.timedelta(hours=1))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        )
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


async def check(port: int, credentials: grpc.ChannelCredentials) -> int:
    async with grpc.aio.secure_channel(f"localhost:{port}", credentials) as channel:
        answer = await health_stub(channel).Check(health_pb2.HealthCheckRequest(), timeout=5)
        return int(answer.status)


def write(folder: Path, issued: tuple[bytes, bytes]) -> None:
    for name, content in zip(("key.pem", "cert.pem"), issued, strict=True):
        (folder / name).write_bytes(content)
        stamp = time.time_ns() + int(issued[0][-40])
        os.utime(folder / name, ns=(stamp, stamp))


async def test_clients_need_a_certificate_and_certificates_rotate(tmp_path: Path) -> None:
    old, new, clients = Authority("old"), Authority("new"), Authority("clients")
    write(tmp_path, old.issue("server"))
    (tmp_path / "ca.pem").write_bytes(clients.certificate)
    port = free_port()
    settings = ServerSettings.model_validate(
        {
            "listen": f"localhost:{port}",
            "tls_cert": tmp_path / "cert.pem",
            "tls_key": tmp_path / "key.pem",
            "tls_client_ca": tmp_path / "ca.pem",
        }
    )
    health = Health({})
    await health.start()
    server = make_server(Application(services=[], health=health), settings)
    await server.start()
    client = clients.issue("client")

    assert await check(port, grpc.ssl_channel_credentials(old.certificate, *client)) == 1
    with pytest.raises(grpc.aio.AioRpcError):
        await check(port, grpc.ssl_channel_credentials(old.certificate))
    with pytest.raises(grpc.aio.AioRpcError):
        await check(port, grpc.ssl_channel_credentials(old.certificate, *new.issue("stranger")))

    write(tmp_path, new.issue("server"))
    assert await check(port, grpc.ssl_channel_credentials(new.certificate, *client)) == 1
    (tmp_path / "key.pem").unlink()
    assert await check(port, grpc.ssl_channel_credentials(new.certificate, *client)) == 1, "the one in use is kept"

    await server.stop(None)
    await health.close()
