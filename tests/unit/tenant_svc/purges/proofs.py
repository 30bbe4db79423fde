"""A purge that has ended, its proof, and a key that signs it."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tenantmesh.tenant_svc.operations.operation import Operation, OperationState
from tenantmesh.tenant_svc.purges.proof import written_proof
from tenantmesh.tenant_svc.purges.purge import PURGE, Amounts, PurgeProgress, PurgeStep, Wanted

TENANT = "0199c0de-0000-7000-8000-000000000001"
NOW = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER_KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
KID = "key-of-2030"
ROWS = {"tenant.tenants": 1, "tenant.operations": 3, "auth.users": 2}


def operation() -> Operation:
    return Operation(
        tenant_id=None,
        id=uuid.UUID("0199c0de-0000-7000-8000-0000000000aa"),
        type=PURGE,
        state=OperationState.APPLYING,
        request={"tenant_id": TENANT, "wanted": Wanted.OPERATOR.value},
        progress={},
        actor="key-of-an-operator",
        effective_time=NOW,
        create_time=NOW,
    )


def progress() -> PurgeProgress:
    made = PurgeProgress(
        before=Amounts(rows=ROWS, sessions=2, passwords=2, store_keys=4, jobs=1),
        after=dict.fromkeys(ROWS, 0),
        deletion={"actor": "key-of-an-operator", "time": NOW.isoformat()},
    )
    for step in PurgeStep:
        made = made.finished(step, NOW)
    return made


def proof(made: PurgeProgress | None = None) -> bytes:
    return written_proof(operation(), made or progress(), key_ids=("key-1",), version="1.2.3", now=NOW)


def unfinished() -> PurgeProgress:
    """A purge that claims to have ended while something is left."""
    return replace(progress(), after={**dict.fromkeys(ROWS, 0), "auth.users": 1})
