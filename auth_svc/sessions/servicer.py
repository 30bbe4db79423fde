"""The part of AuthService that belongs to sessions: Login and RefreshToken."""

from __future__ import annotations

from tenantmesh.auth.v1 import auth_service_pb2 as pb
from tenantmesh.auth_svc.sessions.mapping import login_response, refresh_response
from tenantmesh.auth_svc.sessions.password_login import PasswordLogin
from tenantmesh.auth_svc.sessions.sessions import Sessions
from tenantmesh.chassis.cache_control import ServicerContext, forbid_caching
from tenantmesh.chassis.requests import refuse
from tenantmesh.interceptors.addresses import network_of
from tenantmesh.interceptors.call import current_call

__all__ = ["SessionServicer"]


class SessionServicer:
    """Answers Login and RefreshToken."""

    def __init__(self, password_login: PasswordLogin, sessions: Sessions) -> None:
        self._password_login = password_login
        self._sessions = sessions

    async def Login(self, request: pb.LoginRequest, context: ServicerContext) -> pb.LoginResponse:
        """Exchange an address and a password for the tokens of a new session."""
        call = current_call()
        network = network_of(call.peer_address)
        signed_in = await self._password_login.login(call.tenant_id, request.email, request.password, network)
        await forbid_caching(context)
        return login_response(signed_in)

    async def RefreshToken(self, request: pb.RefreshTokenRequest, context: ServicerContext) -> pb.RefreshTokenResponse:
        """Exchange a refresh token for the next pair of tokens."""
        refuse({"refresh_token": None if request.refresh_token else "is required"})
        tokens = await self._sessions.refresh(request.refresh_token, current_call().tenant)
        await forbid_caching(context)
        return refresh_response(tokens)
