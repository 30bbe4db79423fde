"""The refusals of login hosts, with what the caller does next."""

from __future__ import annotations

from tenantmesh.interceptors.errors import FailedPrecondition, NotFound

__all__ = ["login_host_not_found", "login_host_not_verified", "login_hosts_full"]


def login_host_not_found() -> NotFound:
    """Return the refusal of a host that is missing or another tenant's."""
    return NotFound("LOGIN_HOST_NOT_FOUND", "The tenant has no such login host. List its login hosts.")


def login_hosts_full(limit: int) -> FailedPrecondition:
    """Return the refusal of one host too many."""
    return FailedPrecondition(
        "LOGIN_HOSTS_FULL",
        f"A tenant may have {limit} login hosts. Remove one that is not needed, or ask the operator of this "
        "installation for more.",
        metadata={"limit": str(limit)},
    )


def login_host_not_verified() -> FailedPrecondition:
    """Return the refusal of a primary host that does not work for the tenant."""
    return FailedPrecondition(
        "LOGIN_HOST_NOT_VERIFIED",
        "Only a verified login host can be the primary one. Publish its proof, verify it, and repeat.",
    )
