"""TLS from files that may be replaced while the process runs: new connections use the new certificate."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import cast

import grpc

from tenantmesh.runtime.settings import ServerSettings

__all__ = ["credentials"]

_log = logging.getLogger(__name__)


def credentials(settings: ServerSettings) -> grpc.ServerCredentials | None:
    """Return credentials, or None without a certificate. With a client CA, clients need a certificate of it."""
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    files = _Files(settings.tls_cert, settings.tls_key, settings.tls_client_ca)
    # None means "keep the one in use"; the stubs do not know that.
    fetch = cast("Callable[[], grpc.ServerCertificateConfiguration]", files.read_if_changed)
    return grpc.dynamic_ssl_server_credentials(
        files.read(), fetch, require_client_authentication=settings.tls_client_ca is not None
    )


class _Files:
    """The certificate, its key and the clients' CA on disk."""

    def __init__(self, certificate: Path, key: Path, client_ca: Path | None) -> None:
        self._certificate = certificate
        self._key = key
        self._client_ca = client_ca
        self._stamp: tuple[int, ...] = ()

    def read(self) -> grpc.ServerCertificateConfiguration:
        """Read the files. Raises OSError naming one that cannot be read."""
        self._stamp = self._changed()
        roots = None if self._client_ca is None else self._client_ca.read_bytes()
        pair = (self._key.read_bytes(), self._certificate.read_bytes())
        return grpc.ssl_server_certificate_configuration([pair], root_certificates=roots)

    def read_if_changed(self) -> grpc.ServerCertificateConfiguration | None:
        """Return a new configuration, or None to keep the one in use. gRPC calls this before each handshake."""
        try:
            return None if self._changed() == self._stamp else self.read()
        except OSError as error:
            _log.warning("TLS files cannot be read, keeping the certificate in use: %s", error)
            return None

    def _changed(self) -> tuple[int, ...]:
        paths = (self._certificate, self._key, self._client_ca)
        return tuple(path.stat().st_mtime_ns for path in paths if path is not None)
