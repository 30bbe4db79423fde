"""Keys of a shared store are built in one module, so that what a tenant has there can be listed, and deleted."""

from __future__ import annotations

import ast
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tenantmesh.interceptors.keys import peer_key, pool_account_key, tenant_key
from tenantmesh.interceptors.tenants import TenantId
from tests.architecture.test_layout import PACKAGES, ROOT

BUILDER = ROOT / "interceptors" / "keys.py"
PREFIX = "tm:"
TENANT = TenantId(uuid.UUID("0199c0de-0000-7000-8000-000000000001"))


def keys_in(path: Path) -> Iterator[int]:
    """The lines where a text begins as a key does. An f-string holds its fixed parts as texts of their own."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes):
            text = node.value if isinstance(node.value, str) else node.value.decode(errors="replace")
            if text.startswith(PREFIX):
                yield node.lineno


@pytest.mark.parametrize("package", PACKAGES)
def test_no_other_module_builds_keys(package: str) -> None:
    paths = [path for path in (ROOT / package).rglob("*.py") if path != BUILDER]
    found = [f"{path.relative_to(ROOT)}:{line}" for path in paths for line in keys_in(path)]
    assert not found, "build keys in interceptors/keys.py"


def test_the_builder_is_seen() -> None:
    assert len(list(keys_in(BUILDER))) == 3


def test_keys_are_what_running_stores_hold() -> None:
    assert tenant_key(TENANT, "burst", "api") == "tm:{0199c0de-0000-7000-8000-000000000001}:burst:api"
    assert tenant_key(TENANT, "quota", "reads") == "tm:{0199c0de-0000-7000-8000-000000000001}:quota:reads"
    assert tenant_key(TENANT, "login", "ab12") == "tm:{0199c0de-0000-7000-8000-000000000001}:login:ab12"
    assert pool_account_key() == "tm:quota:account"
    assert peer_key("203.0.113.7", "public") == "tm:peer:{203.0.113.7}:public"
