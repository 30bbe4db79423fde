"""The sessions' part of AuthService: Login and RefreshToken."""

from __future__ import annotations

from tenantmesh.auth.v1 import auth_service_pb2 as pb
from tenantmesh.auth_svc.sessions.mapping import login_response, refresh_response
from tenantmesh.auth_svc.sessions.sessions import Sessions
from tenantmesh.interceptors.call import current_call
from tenantmesh.interceptors.errors import FieldViolation, InvalidArgument

__all__ = ["SessionServicer"]


class SessionServicer:
    """Signs people in and keeps them so."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    async def Login(self, request: pb.LoginRequest) -> pb.LoginResponse:
        """Exchanges an address and a password for tokens."""
        signed_in = await self._sessions.login(current_call().tenant_id, request.email, request.password)
        return login_response(signed_in)

    async def RefreshToken(self, request: pb.RefreshTokenRequest) -> pb.RefreshTokenResponse:
        """Exchanges a refresh token for the next pair."""
        if not request.refresh_token:
            raise InvalidArgument.fields([FieldViolation("refresh_token", "is required")])
        return refresh_response(await self._sessions.refresh(request.refresh_token, current_call().tenant))
