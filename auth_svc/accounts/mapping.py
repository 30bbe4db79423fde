"""Maps users to and from the messages of AuthService."""

from __future__ import annotations

from tenantmesh.auth.v1 import auth_service_pb2 as pb
from tenantmesh.auth.v1 import user_pb2
from tenantmesh.auth_svc.accounts.registration import Registration
from tenantmesh.auth_svc.accounts.user import User

__all__ = ["registration", "user_message"]


def registration(request: pb.RegisterRequest) -> Registration:
    """Return the fields of the request, unchecked."""
    return Registration(email=request.email, password=request.password, display_name=request.display_name)


def user_message(user: User) -> user_pb2.User:
    """Return the user as callers see it."""
    message = user_pb2.User(
        id=str(user.id),
        tenant_id=str(user.tenant_id),
        email=user.email,
        display_name=user.display_name,
        roles=user.roles,
    )
    message.create_time.FromDatetime(user.create_time)
    return message
