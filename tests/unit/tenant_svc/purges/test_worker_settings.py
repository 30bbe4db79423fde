"""Which workers purge: those that could destroy all that there is of a tenant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tenantmesh.tenant_svc.settings import TenantWorkerSettings

URL = "postgresql://nobody@127.0.0.1:1/nothing"
WHOLE: dict[str, Any] = {
    "database": {"url": URL},
    "worker": {"queue_url": URL},
    "purge": {"database_url": URL, "kek_file": Path("kek")},
    "mesh": {"credential": "tmk_0000000000000000"},
    "redis": {"url": "redis://127.0.0.1:1/0"},
}


def test_a_worker_with_everything_purges() -> None:
    assert TenantWorkerSettings(**WHOLE).purges


@pytest.mark.parametrize("lacking", ["purge", "mesh", "redis"])
def test_a_worker_that_could_not_destroy_everything_leaves_purges_to_another(lacking: str) -> None:
    """Without the store, for one, its proof would say that no key is left where it has not looked."""
    assert not TenantWorkerSettings(**{name: group for name, group in WHOLE.items() if name != lacking}).purges
