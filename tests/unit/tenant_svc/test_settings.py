"""The settings of the life of tenants: their bounds, and the processes that read them."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from tenantmesh.runtime.settings import variables
from tenantmesh.tenant_svc.settings import LifeSettings, TenantSettings, TenantWorkerSettings


@pytest.mark.parametrize("name", ["slug_grace", "delete_grace"])
@pytest.mark.parametrize("wrong", ["-1s", "3653.1d", "3000000d"])
def test_a_grace_is_at_most_ten_years(name: str, wrong: str) -> None:
    with pytest.raises(ValidationError):
        LifeSettings.model_validate({name: wrong})
    assert LifeSettings.model_validate({name: "3653d"})


def test_the_worker_reads_what_the_service_reads() -> None:
    """It changes tenants too, when it imports."""
    life = {name for name in variables(TenantSettings) if name.startswith("TENANTMESH_TENANTS_")}
    assert life
    assert life <= variables(TenantWorkerSettings)
