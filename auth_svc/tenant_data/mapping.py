"""Conversions between counts and the messages of TenantDataService. No decisions are made here."""

from __future__ import annotations

from collections.abc import Mapping

from tenantmesh.auth.v1 import tenant_data_service_pb2 as pb
from tenantmesh.auth_svc.tenant_data.tenant_data import DataCounts

__all__ = ["counted", "purged"]


def counted(counts: DataCounts) -> pb.CountTenantDataResponse:
    """Return what there is of a tenant."""
    return pb.CountTenantDataResponse(tables=_tables(counts.rows), sessions=counts.sessions, passwords=counts.passwords)


def purged(removed: Mapping[str, int], *, more: bool) -> pb.PurgeTenantDataResponse:
    """Return what a call has removed."""
    return pb.PurgeTenantDataResponse(removed=_tables(removed), more=more)


def _tables(rows: Mapping[str, int]) -> list[pb.TableRows]:
    return [pb.TableRows(table=table, rows=number) for table, number in sorted(rows.items())]
