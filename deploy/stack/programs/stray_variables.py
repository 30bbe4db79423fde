"""Variables of the environment that nobody reads although they begin like ours: misspelt ones."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from tenantmesh.deploy.stack.programs.table import known_variables
from tenantmesh.runtime.settings import ENVIRONMENT_PREFIX, no_such_setting

__all__ = ["is_service_link", "stray_variables"]

_OF_TESTS = re.compile(r"TENANTMESH_(TEST_\w+|REQUIRE_TOOLS)")
_SERVICE_LINK = re.compile(
    r"TENANTMESH_\w+_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_PROTO|_PORT|_ADDR)?)"
)
_LINKED_PORT = re.compile(r"(tcp|udp|sctp)://.+")


def stray_variables(environment: Mapping[str, str]) -> Iterator[str]:
    """Yield a line for each variable that begins with TENANTMESH_ and that no program of ours knows, with the nearest
    name. Names in any case are ours, as the programs read them."""
    known = known_variables()
    for name, value in sorted(environment.items()):
        ours = name.upper()
        if not ours.startswith(ENVIRONMENT_PREFIX) or ours in known:
            continue
        if not _OF_TESTS.fullmatch(ours) and not is_service_link(ours, value):
            yield no_such_setting(name, known)


def is_service_link(name: str, value: str) -> bool:
    """Return whether Kubernetes has set the variable, for a Service whose name begins with `tenantmesh-`."""
    linked_port = name.endswith("_PORT") and _LINKED_PORT.fullmatch(value)
    return bool(linked_port or _SERVICE_LINK.fullmatch(name))
