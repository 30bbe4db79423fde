"""Joins the servicers of capabilities where one service of the contract spans several."""

from __future__ import annotations

from tenantmesh.auth.v1 import auth_service_pb2 as pb
from tenantmesh.auth.v1.auth_service_pb2_grpc import AuthServiceServicer
from tenantmesh.auth.v1.user_pb2 import User as UserMessage
from tenantmesh.auth_svc.accounts.servicer import AccountServicer
from tenantmesh.auth_svc.sessions.servicer import SessionServicer

__all__ = ["AuthServicer"]


class AuthServicer(AuthServiceServicer):
    """AuthService: passes each method to its capability."""

    def __init__(self, accounts: AccountServicer, sessions: SessionServicer) -> None:
        self._accounts = accounts
        self._sessions = sessions

    async def Register(self, request: pb.RegisterRequest, _context: object) -> pb.RegisterResponse:
        """See AccountServicer."""
        return await self._accounts.Register(request)

    async def Login(self, request: pb.LoginRequest, _context: object) -> pb.LoginResponse:
        """See SessionServicer."""
        return await self._sessions.Login(request)

    async def RefreshToken(self, request: pb.RefreshTokenRequest, _context: object) -> pb.RefreshTokenResponse:
        """See SessionServicer."""
        return await self._sessions.RefreshToken(request)

    async def GetMe(self, request: pb.GetMeRequest, _context: object) -> UserMessage:
        """See AccountServicer."""
        return await self._accounts.GetMe(request)
