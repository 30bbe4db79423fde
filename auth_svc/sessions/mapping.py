"""Maps tokens to the messages of AuthService."""

from __future__ import annotations

from tenantmesh.auth.v1 import auth_service_pb2 as pb
from tenantmesh.auth_svc.accounts.mapping import user_message
from tenantmesh.auth_svc.sessions.sessions import SignedIn, TokenPair
from tenantmesh.auth_svc.tokens.tokens import LIFETIME

__all__ = ["login_response", "refresh_response"]

_EXPIRES_IN = int(LIFETIME.total_seconds())


def login_response(signed_in: SignedIn) -> pb.LoginResponse:
    """Return the tokens of a new session and its user."""
    return pb.LoginResponse(
        access_token=signed_in.tokens.access,
        refresh_token=signed_in.tokens.refresh,
        expires_in=_EXPIRES_IN,
        user=user_message(signed_in.user),
    )


def refresh_response(tokens: TokenPair) -> pb.RefreshTokenResponse:
    """Return the next pair of tokens."""
    return pb.RefreshTokenResponse(access_token=tokens.access, refresh_token=tokens.refresh, expires_in=_EXPIRES_IN)
