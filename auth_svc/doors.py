"""The doors to the database as this service uses them: one that is away is UNAVAILABLE for whoever called."""

from __future__ import annotations

from datetime import timedelta

from tenantmesh.interceptors.errors import Unavailable
from tenantmesh.runtime import database
from tenantmesh.runtime.database import Database

__all__ = ["Doors"]


class Doors(database.Doors):
    """See `runtime.database.Doors`. Every method raises Unavailable while the database is away."""

    def __init__(self, opened: Database) -> None:
        super().__init__(opened, _unavailable)


def _unavailable() -> Unavailable:
    return Unavailable(
        "CREDENTIALS_UNVERIFIABLE",
        "Accounts and credentials can't be read at the moment. Retry with backoff.",
        retry_after=timedelta(seconds=1),
    )
