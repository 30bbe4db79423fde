"""The checks and answers that only a script can make: Envoy's Lua filters, with what they know of the contract.

Every script is off by default. The routes that need one switch it on, so that gRPC calls meet none.
"""

from __future__ import annotations

import re
from importlib import resources
from typing import Any

from tenantmesh.deploy.envoy.contract import VARIABLE, Binding, Contract
from tenantmesh.deploy.envoy.fields import Field, JsonKind
from tenantmesh.deploy.envoy.parts import FILTERS, Json, switched_on, typed
from tenantmesh.interceptors.metadata import FORWARDED_HOST, MAX_BYTES, MAX_ENTRIES, SINGLE, TENANT_QUERY

__all__ = ["CHECKED", "EVENT_IDS", "HEAD", "is_resumable", "scripts"]

# The edge and the transcoder add headers of their own before a service counts them.
ADDED_BYTES = 512
ADDED_ENTRIES = 12
# The services refuse a wrong value of these; any other header is left out where gRPC can't carry its value.
READ = SINGLE - {FORWARDED_HOST, TENANT_QUERY}
CURSOR = "cursor"

CHECKED = switched_on("requests")
HEAD = switched_on("head")
EVENT_IDS = switched_on("event_ids")


def scripts(contract: Contract) -> list[Json]:
    """Return the scripts in the order in which a request meets them."""
    return [
        script("event_ids", START=dict.fromkeys(_start_parameters(contract), True)),
        script("head"),
        # The last: it checks what the others have written.
        script(
            "requests",
            BINDINGS=[_binding(binding) for binding in sorted(contract.bindings, key=_literals, reverse=True)],
            MESSAGES={name: [_field(field) for field in fields] for name, fields in contract.messages.items()},
            READ=dict.fromkeys(sorted(READ), True),
            MAX_BYTES=MAX_BYTES - ADDED_BYTES,
            MAX_ENTRIES=MAX_ENTRIES - ADDED_ENTRIES,
        ),
    ]


def script(name: str, **known: Any) -> Json:
    """Return the Lua filter of a file beside this module, with these values in front."""
    source = resources.files(__package__).joinpath(f"{name}.lua").read_text(encoding="utf-8")
    values = "".join(f"local {constant} = {lua(value)}\n" for constant, value in known.items())
    code = {"inline_string": values + source}
    config = typed(f"{FILTERS}.lua.v3.Lua", default_source_code=code)
    return {"name": name, "disabled": True, "typed_config": config}


def lua(value: Any) -> str:
    """Write a value as Lua. Raises TypeError for one of another kind than the scripts have."""
    match value:
        case bool():
            return str(value).lower()
        case int():
            return str(value)
        case str() if value.isascii() and value.isprintable():
            return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
        case list():
            return "{" + ", ".join(map(lua, value)) + "}"
        case dict():
            return "{" + ", ".join(f"[{lua(name)}] = {lua(entry)}" for name, entry in value.items()) + "}"
    raise TypeError(f"no form in Lua for {value!r}")


def is_resumable(binding: Binding, contract: Contract) -> bool:
    """Return whether a stream can begin at a cursor."""
    return binding.streams and any(field.name == CURSOR for field in contract.messages[binding.request])


def _start_parameters(contract: Contract) -> list[str]:
    """Return the parameters that say where a stream begins, in every spelling: the cursor and what excludes it."""
    streams = [binding for binding in contract.bindings if is_resumable(binding, contract)]
    names = []
    for fields in (contract.messages[binding.request] for binding in streams):
        group = next(field.oneof for field in fields if field.name == CURSOR)
        begins = [field for field in fields if field.name == CURSOR or (group and field.oneof == group)]
        names += [spelling for field in begins for spelling in field.spellings]
    return sorted(set(names))


def _literals(binding: Binding) -> int:
    """Return how much of a path is written out: `/plans/{id}:diff` is tried before `/plans/{id}`."""
    return len(VARIABLE.sub("", binding.path))


def _binding(binding: Binding) -> dict[str, Any]:
    """Return what the script knows of a binding. A variable takes no colon: behind one stands a verb."""
    literals = VARIABLE.split(binding.path)[::2]
    pattern = "[^/:]+".join(re.sub(r"([^\w/])", r"%\1", literal) for literal in literals)
    known = {
        "verb": binding.verb,
        "pattern": f"^{pattern}$",
        "slashes": binding.path.count("/"),
        "request": binding.request,
        "variables": list(binding.variables),
    }
    return known | ({"body": binding.body} if binding.body else {})


def _field(field: Field) -> dict[str, Any]:
    known: dict[str, Any] = {"spellings": list(field.spellings), "kind": field.kind.value}
    if field.message:
        known["message"] = field.message
    if field.repeated:
        known["list"] = True
    if field.oneof and field.kind is JsonKind.VALUE:
        known["group"] = field.oneof
    return known
