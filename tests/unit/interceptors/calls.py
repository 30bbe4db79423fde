"""Calls for the tests of links by themselves."""

from __future__ import annotations

from typing import Any

from tenantmesh.interceptors import CallerKind
from tenantmesh.interceptors.passage import Passage
from tenantmesh.interceptors.policy import MethodPolicy


class Context:
    """What links ask of gRPC's context."""

    def __init__(self, peer: str = "ipv4:192.0.2.1:5000") -> None:
        self._peer = peer

    def peer(self) -> str:
        return self._peer

    def time_remaining(self) -> float | None:
        return None

    def auth_context(self) -> dict[str, Any]:
        return {}

    def set_trailing_metadata(self, trailing_metadata: Any) -> None:
        pass


def call(
    *metadata: tuple[str, str | bytes], policy: MethodPolicy | None = None, peer: str = "ipv4:192.0.2.1:5000"
) -> Passage:
    made = Passage(policy or MethodPolicy("/x.Y/Z", frozenset({CallerKind.ANONYMOUS})), metadata)
    made.context = Context(peer)
    made.headers = {key: str(value) for key, value in metadata}  # as the request_id link leaves them
    return made
