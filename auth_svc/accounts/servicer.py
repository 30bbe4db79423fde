"""The accounts' part of AuthService: Register and GetMe."""

from __future__ import annotations

import uuid

from tenantmesh.auth.v1 import auth_service_pb2 as pb
from tenantmesh.auth.v1.user_pb2 import User as UserMessage
from tenantmesh.auth_svc.accounts.accounts import Accounts, UserId
from tenantmesh.auth_svc.accounts.mapping import registration, user_message
from tenantmesh.auth_svc.gauges.gauge import USERS
from tenantmesh.interceptors.call import current_call
from tenantmesh.interceptors.errors import Internal

__all__ = ["AccountServicer"]


class AccountServicer:
    """Registers people, and tells them who they are."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    async def Register(self, request: pb.RegisterRequest) -> pb.RegisterResponse:
        """Creates an account; the answer depends on nothing but the request."""
        call = current_call()
        if call.tenant is None:
            raise Internal("INTERNAL", "Register ran without a tenant; see its tenant_scope")
        await self._accounts.register(call.tenant, registration(request), call.entitlements.limit(USERS))
        return pb.RegisterResponse(email=request.email)

    async def GetMe(self, _request: pb.GetMeRequest) -> UserMessage:
        """The user of the access token."""
        call = current_call()
        user = await self._accounts.me(call.tenant_id, UserId(uuid.UUID(call.caller.subject)))
        return user_message(user)
