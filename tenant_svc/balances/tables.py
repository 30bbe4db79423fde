"""The tables of balances: units given out of allowances, grants, and levels of gauges."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
)
from sqlalchemy.dialects.postgresql import TIMESTAMP

from tenantmesh.chassis.moments import accepted_time
from tenantmesh.interceptors.quotas import LARGEST_AMOUNT
from tenantmesh.runtime.row_security import TableGrant, tenant_owned
from tenantmesh.tenant_svc.balances.account import MOST_GIVEN
from tenantmesh.tenant_svc.schema import APP_ROLE, DIRECTORY_ROLE, metadata
from tenantmesh.tenant_svc.tenants.tables import tenants

__all__ = ["gauges", "grant_burns", "grants", "leases", "ledger"]

_READ = (TableGrant(DIRECTORY_ROLE, ("SELECT",)),)
_FORGET = (TableGrant(DIRECTORY_ROLE, ("SELECT", "DELETE")),)  # rows older than the retention

# `balance` is as of the period that began at `balance_period`; later periods apply the rollover to it.
grants = tenant_owned(
    Table(
        "grants",
        metadata,
        Column("tenant_id", Uuid, ForeignKey(tenants.c.tenant_id), primary_key=True),
        Column("grant_id", Uuid, primary_key=True),
        Column("feature_id", Text(collation="C"), nullable=False),
        Column("amount", BigInteger, nullable=False),
        Column("priority", Integer, nullable=False),
        Column("effective_time", TIMESTAMP(timezone=True), nullable=False),
        Column("expire_time", TIMESTAMP(timezone=True)),
        Column("max_rollover", BigInteger, nullable=False),
        Column("min_rollover", BigInteger, nullable=False),
        Column("reason", Text, nullable=False),
        Column("balance", BigInteger, nullable=False),
        Column("balance_period", TIMESTAMP(timezone=True), nullable=False),
        Column("void_time", TIMESTAMP(timezone=True)),
        Column("create_time", TIMESTAMP(timezone=True), nullable=False),
        Column("requester", Text),
        Column("request_id", Uuid),
        Column("digest", Text),
        UniqueConstraint("tenant_id", "requester", "request_id", name="grants_request_key"),
        CheckConstraint("amount > 0 and balance >= 0", name="grants_amount_check"),
        CheckConstraint("0 <= min_rollover and min_rollover <= max_rollover", name="grants_rollover_check"),
        CheckConstraint(
            f"amount <= {LARGEST_AMOUNT} and balance <= amount and max_rollover <= amount "
            "and 0 <= priority and priority <= 1000",
            name="grants_range_check",
        ),
        accepted_time("grants", "effective_time"),
        accepted_time("grants", "expire_time"),
        Index("grants_feature_idx", "tenant_id", "feature_id"),
    ),
    APP_ROLE,
    ("SELECT", "INSERT", "UPDATE"),
    cross_tenant=_READ,
)

# The units given out of an allowance in a period: `from_plan` of them from the plan, the rest from grants.
ledger = tenant_owned(
    Table(
        "quota_ledger",
        metadata,
        Column("tenant_id", Uuid, ForeignKey(tenants.c.tenant_id), primary_key=True),
        Column("feature_id", Text(collation="C"), primary_key=True),
        Column("period_start", TIMESTAMP(timezone=True), primary_key=True),
        Column("given", BigInteger, nullable=False),
        Column("from_plan", BigInteger, nullable=False),
        Column("update_time", TIMESTAMP(timezone=True), nullable=False),
        CheckConstraint("0 <= from_plan and from_plan <= given", name="quota_ledger_given_check"),
        CheckConstraint(f"given <= {MOST_GIVEN}", name="quota_ledger_range_check"),
        Index("quota_ledger_period_idx", "period_start"),
    ),
    APP_ROLE,
    ("SELECT", "INSERT", "UPDATE"),
    cross_tenant=_FORGET,
)

# The units that a grant has given in a period. A return gives them back to that grant.
grant_burns = tenant_owned(
    Table(
        "grant_burns",
        metadata,
        Column("tenant_id", Uuid, primary_key=True),
        Column("grant_id", Uuid, primary_key=True),
        Column("period_start", TIMESTAMP(timezone=True), primary_key=True),
        Column("amount", BigInteger, nullable=False),
        ForeignKeyConstraint(["tenant_id", "grant_id"], [grants.c.tenant_id, grants.c.grant_id]),
        CheckConstraint("amount >= 0", name="grant_burns_amount_check"),
        Index("grant_burns_period_idx", "period_start"),
    ),
    APP_ROLE,
    ("SELECT", "INSERT", "UPDATE"),
    cross_tenant=_FORGET,
)

# The units that each holder has leased and not returned. An account is a secret between those who may return its units;
# the empty one belongs to all keys of the holder's name.
leases = tenant_owned(
    Table(
        "quota_leases",
        metadata,
        Column("tenant_id", Uuid, primary_key=True),
        Column("feature_id", Text(collation="C"), primary_key=True),
        Column("period_start", TIMESTAMP(timezone=True), primary_key=True),
        Column("holder", Text(collation="C"), primary_key=True),
        Column("account", Text(collation="C"), primary_key=True),
        Column("amount", BigInteger, nullable=False),
        ForeignKeyConstraint(
            ["tenant_id", "feature_id", "period_start"],
            [ledger.c.tenant_id, ledger.c.feature_id, ledger.c.period_start],
            name="quota_leases_ledger_fkey",
            ondelete="CASCADE",
        ),
        CheckConstraint("amount > 0", name="quota_leases_amount_check"),
    ),
    APP_ROLE,
    ("SELECT", "INSERT", "UPDATE", "DELETE"),
)

# `reported` levels belong to another service, which limits them in its own transactions; `version` is that service's.
gauges = tenant_owned(
    Table(
        "gauges",
        metadata,
        Column("tenant_id", Uuid, ForeignKey(tenants.c.tenant_id), primary_key=True),
        Column("feature_id", Text(collation="C"), primary_key=True),
        Column("level", BigInteger, nullable=False),
        Column("reported_version", BigInteger),
        Column("reporter", Text, comment="who reports it; null also where that was before reporters had a name here"),
        Column("update_time", TIMESTAMP(timezone=True), nullable=False),
        CheckConstraint("level >= 0", name="gauges_level_check"),
        CheckConstraint(f"level <= {LARGEST_AMOUNT}", name="gauges_range_check"),
    ),
    APP_ROLE,
    ("SELECT", "INSERT", "UPDATE"),
    cross_tenant=_READ,
)
