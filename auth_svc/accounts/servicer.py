"""The part of AuthService that belongs to accounts: Register and GetMe."""

from __future__ import annotations

import uuid

from tenantmesh.auth.v1 import auth_service_pb2 as pb
from tenantmesh.auth.v1.user_pb2 import User as UserMessage
from tenantmesh.auth_svc.accounts.accounts import Accounts
from tenantmesh.auth_svc.accounts.mapping import registration, user_message
from tenantmesh.auth_svc.accounts.user import UserId
from tenantmesh.auth_svc.gauges.gauge import USERS
from tenantmesh.interceptors.addresses import network_of
from tenantmesh.interceptors.call import current_call
from tenantmesh.interceptors.errors import Internal

__all__ = ["AccountServicer"]


class AccountServicer:
    """Answers Register and GetMe."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    async def Register(self, request: pb.RegisterRequest, _context: object) -> pb.RegisterResponse:
        """Create an account. The answer is made of the request alone: it does not tell whether the address is known."""
        call = current_call()
        if call.tenant is None:
            raise Internal("INTERNAL", "Register ran without a tenant; see its tenant_scope")
        limit, network = call.entitlements.limit(USERS), network_of(call.peer_address)
        await self._accounts.register(call.tenant, registration(request), limit, network)
        return pb.RegisterResponse(email=request.email)

    async def GetMe(self, _request: pb.GetMeRequest, _context: object) -> UserMessage:
        """Return the user of the access token."""
        call = current_call()
        user = await self._accounts.me(call.tenant_id, UserId(uuid.UUID(call.caller.subject)))
        return user_message(user)
