"""The keys of a shared store. Nothing else in the product builds one.

| key | value |
|---|---|
| `tm:{<tenant uuid>}:burst:<rate class>` | a tenant's burst limit |
| `tm:{<tenant uuid>}:quota:<meter>` | the pool of a tenant's allowance |
| `tm:{<tenant uuid>}:login:<sha256 of the address>` | attempts to sign in to one account of a tenant |
| `tm:{<tenant uuid>}:login:failed`, with `:<sha256 of a network>` | failures to sign in to a tenant, of one network |
| `tm:quota:account` | the account under which units of the pools are leased; a secret |
| `tm:peer:{<network>}:<rate class>` | the burst limit of one network, for public methods |

The braces are a hash tag: in a Redis Cluster all keys of a tenant lie in one slot, so that a script may touch several.
"""

from __future__ import annotations

from typing import Literal

from tenantmesh.interceptors.tenants import TenantId

__all__ = ["peer_key", "pool_account_key", "tenant_key", "tenant_keys"]

_Kind = Literal["burst", "quota", "login"]


def tenant_key(tenant_id: TenantId, kind: _Kind, name: str) -> str:
    """Return the key of one counter of a tenant: `tm:{<tenant uuid>}:<kind>:<name>`."""
    return f"{tenant_keys(tenant_id)}{kind}:{name}"


def tenant_keys(tenant_id: TenantId) -> str:
    """Return the text with which every key of a tenant begins: `tm:{<tenant uuid>}:`."""
    return f"tm:{{{tenant_id}}}:"


def peer_key(network: str, rate_class: str) -> str:
    """Return the key of one network's burst limit: `tm:peer:{<network>}:<rate class>`."""
    return f"tm:peer:{{{network}}}:{rate_class}"


def pool_account_key() -> str:
    """Return the key of the account of all pools: `tm:quota:account`. It is of no tenant."""
    return "tm:quota:account"
