"""The doors to the database as this service uses them: one that is away is UNAVAILABLE for whoever called."""

from __future__ import annotations

from datetime import timedelta

import runtime.database
from interceptors.errors import Unavailable
from runtime.database import Database

__all__ = ["Doors"]


class Doors(runtime.database.Doors):
    """See `runtime.database.Doors`. Every method raises Unavailable while the database is away."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, _unavailable)


def _unavailable() -> Unavailable:
    return Unavailable(
        "CREDENTIALS_UNVERIFIABLE",
        "Accounts and credentials can't be read at the moment. Retry with backoff.",
        retry_after=timedelta(seconds=1),
    )
