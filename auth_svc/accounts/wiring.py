"""The wiring of accounts: the users and their methods that they bring to auth_svc."""

from __future__ import annotations

from collections.abc import Callable

from tenantmesh.auth.v1 import auth_service_pb2
from tenantmesh.auth_svc.accounts import tables
from tenantmesh.auth_svc.accounts.accounts import Accounts
from tenantmesh.auth_svc.accounts.servicer import AccountServicer
from tenantmesh.auth_svc.passwords.wiring import PasswordsCapability
from tenantmesh.auth_svc.resources import AuthResources
from tenantmesh.chassis.capability import Capability, TenantPart

__all__ = ["PART", "build"]

_SERVICE = auth_service_pb2.DESCRIPTOR.services_by_name["AuthService"]
PART = TenantPart(tables=(tables.users,), exported=(tables.users,))


def build(resources: AuthResources, passwords: PasswordsCapability, level_changed: Callable[[], None]) -> Capability:
    """Build the capability. `level_changed` is called after the number of users has changed."""
    accounts = Accounts(resources.doors, passwords.rules, passwords.hashing, on_change=level_changed)
    return Capability(name="accounts", servicers={_SERVICE: AccountServicer(accounts)}, part=PART)
