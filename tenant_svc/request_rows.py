"""Rows that requests have made, found by the key of the request."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Table, and_, bindparam, or_

from tenantmesh.chassis.requests import RequestKey

__all__ = ["is_of_request", "request_parameters"]


def is_of_request(table: Table) -> ColumnElement[bool]:
    """Return the condition for the row that a request has made. Its parameters are those of `request_parameters`.

    A row has the caller's name as its requester. Older rows have the credential that the caller used then.
    """
    of_caller = or_(table.c.requester == bindparam("requester"), table.c.requester == bindparam("credential"))
    return and_(of_caller, table.c.request_id == bindparam("request_id"))


def request_parameters(key: RequestKey | None) -> dict[str, object]:
    """Return the parameters of `is_of_request`. Without a key they match no row."""
    if key is None:
        return {"requester": None, "credential": None, "request_id": None}
    return {"requester": key.requester, "credential": key.credential, "request_id": key.request_id}
