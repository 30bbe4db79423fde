"""docs/reference/settings.md: every setting of both services and the worker, from the classes that read them.

What each means stands in meanings.toml beside this file; a setting without a meaning, or a meaning without a setting,
is an error.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from types import NoneType
from typing import Any, get_args

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from tenantmesh.auth_svc.settings import AuthSettings
from tenantmesh.runtime.settings import ENVIRONMENT_PREFIX, ProcessSettings
from tenantmesh.tenant_svc.settings import TenantSettings, TenantWorkerSettings
from tooling.reference.tables import code, table

__all__ = ["page"]

MEANINGS = Path(__file__).with_name("meanings.toml")
SERVICES: Mapping[str, type[ProcessSettings]] = {
    "tenant_svc": TenantSettings,
    "auth_svc": AuthSettings,
    "worker": TenantWorkerSettings,
}
_ALL_OF = {tuple(SERVICES): "all", ("tenant_svc", "auth_svc"): ""}
IDLE = {"worker": {"server"}}
"""Groups that every process has by its class, and that this one makes no use of."""

HEAD = """# Settings

A process reads these variables once, when it starts, and nothing later. Wrong ones end it with status 78 and a line
for each that names it. `tenantmesh` refuses a variable that begins with `TENANTMESH_` and that nobody reads, with the
nearest right name. *For* says which has it; empty: both services; all: the worker too. Which ones production needs is
in [Use your own PostgreSQL and Redis](../how-to/use-your-own-postgres-and-redis.md).

Durations are written `250ms`, `5s`, `10m`, `1h`, `7d` or as a number of seconds; booleans `true` or `false`; addresses
`host:port`, with IPv6 in brackets.
"""


def page() -> str:
    """Return the page. Raises LookupError when settings and meanings don't match."""
    meanings: dict[str, Any] = tomllib.loads(MEANINGS.read_text(encoding="utf-8"))
    found = _settings()
    _refuse_strays(found, meanings)
    parts = [HEAD]
    for group, about in meanings.items():
        rows = [_row(name, about[name.partition(".")[2]], each) for name, each in found.items() if _in(group, name)]
        parts.append(f"## {group}\n\n{about['about']}\n\n" + table(("Variable", "Default", "For", "Meaning"), rows))
    return "\n".join(parts)


def _settings() -> dict[str, dict[str, FieldInfo]]:
    """Return the fields by `group.name`, and for each which service has it."""
    found: dict[str, dict[str, FieldInfo]] = {}
    for service, settings in SERVICES.items():
        for group, outer in settings.model_fields.items():
            if group in IDLE.get(service, ()):
                continue
            for name, field in _fields(outer).items():
                found.setdefault(f"{group}.{name}", {})[service] = field
    return found


def _fields(outer: FieldInfo) -> dict[str, FieldInfo]:
    """Return the fields of a group, with the defaults that the service gives them; a lone setting is a group of one."""
    kind = outer.annotation
    if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
        return {"": outer}
    given = outer.default if isinstance(outer.default, BaseModel) else None
    fields = {name: field._copy() for name, field in kind.model_fields.items()}
    if given is not None:
        for name, field in fields.items():
            field.default = getattr(given, name)
    return fields


def _in(group: str, name: str) -> bool:
    return name.partition(".")[0] == group


def _refuse_strays(found: Mapping[str, object], meanings: Mapping[str, Mapping[str, str]]) -> None:
    told = {f"{group}.{name}" for group, about in meanings.items() for name in about if name != "about"}
    if missing := found.keys() - told:
        raise LookupError(f"say what these settings mean, in {MEANINGS.name}: {', '.join(sorted(missing))}")
    if strays := told - found.keys():
        raise LookupError(f"{MEANINGS.name} speaks of settings that do not exist: {', '.join(sorted(strays))}")


def _row(name: str, meaning: str, fields: Mapping[str, FieldInfo]) -> tuple[str, str, str, str]:
    variable = ENVIRONMENT_PREFIX + name.rstrip(".").replace(".", "_").upper()
    defaults = {_default(field): service for service, field in fields.items()}
    if len(defaults) == 1:
        default = next(iter(defaults))
    else:
        default = ", ".join(f"{text} ({service})" for text, service in defaults.items())
    return code(variable), default, _ALL_OF.get(tuple(fields), ", ".join(fields)), meaning


def _default(field: FieldInfo) -> str:
    if field.default is PydanticUndefined:
        return "required"
    value = field.default
    if value in (None, "", ()):
        return "none" if NoneType in get_args(field.annotation) or field.annotation is SecretStr else "empty"
    return code(_written(value))


def _written(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, timedelta):
        return str(value)
    seconds = value.total_seconds()
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds * 1000:.0f}ms"
