"""The refusals that the edge gives by itself while a call is still REST, with the reason in words.

Only those that no service could give: the transcoder would hide the call from it, or fail as if the fault were ours.
"""

from __future__ import annotations

import re

from tenantmesh.deploy.envoy.contract import VARIABLE, Binding, Contract
from tenantmesh.deploy.envoy.parts import Json, matches, present, switched_off

__all__ = ["QUERY", "form", "refusals", "refuse"]

JSON_CONTENT = r"(?i)application/([a-z0-9.-]+\+)?json([ \t]*;.*)?"
# Percent-encoded bytes that are UTF-8 (RFC 3629). Anything else would reach a service as a message it can't read.
TAIL = "%[89ab][0-9a-f]"
UTF8 = (
    "(?i)([^%]|%[0-9a-f]?[^0-9a-f%]|%[0-7][0-9a-f]"
    f"|%(c[2-9a-f]|d[0-9a-f]){TAIL}"
    f"|%(e0%[ab][0-9a-f]|ed%[89][0-9a-f]|e[1-9abcef]{TAIL}){TAIL}"
    f"|%(f0%[9ab][0-9a-f]|f4%8[0-9a-f]|f[123]{TAIL}){TAIL}{TAIL})*(%[0-9a-f]?)?"
)
QUERY = r"(\?.*)?"
# The value of ?tenant= has the characters of slugs and ids: it becomes a header. requests.lua refuses a second one.
# The transcoder takes `/tenants/:watch` for `/tenants:watch`, which rules by path do not.
EMPTY_NAME = r"[^?]*/:[^?]*(\?.*)?"
TENANT_MALFORMED = r"[^?]*\?(.*&)?tenant(=?|=[^&]*[^A-Za-z0-9._~&-][^&]*)(&.*)?"


def refusals(contract: Contract) -> list[Json]:
    """Return the routes that refuse, in the order in which they are tried."""
    return [
        route([matches(":path", TENANT_MALFORMED)], refuse(400, "tenant must be a slug or an id. Send one or none.")),
        route([matches(":path", UTF8, invert=True)], refuse(400, "The path or query is not UTF-8. Encode it so.")),
        route(
            [matches(":path", EMPTY_NAME)],
            refuse(404, "Nothing is served at this path: a name before the colon is empty. Send the name."),
        ),
        *wrong_methods(contract),
        route(
            [present("content-encoding"), matches("content-encoding", "(?i)identity", invert=True)],
            refuse(415, "Compressed bodies are not read. Send the body without content-encoding."),
        ),
        route(
            [
                matches(":method", "POST|PUT|PATCH|DELETE"),
                present("content-type"),
                # Forms and plain text can be sent by a page of any origin without asking.
                matches("content-type", rf"{JSON_CONTENT}|application/grpc.*", invert=True),
            ],
            refuse(415, "The body must be JSON. Send content-type: application/json."),
        ),
    ]


def route(headers: list[Json], action: Json) -> Json:
    """Return a route for REST calls of this form that the transcoder does not see."""
    return {
        "match": {"prefix": "/", "headers": headers},
        **action,
        "typed_per_filter_config": switched_off("grpc_json_transcoder"),
    }


def refuse(status: int, message: str) -> Json:
    """Return the action that answers by itself; the body's form is in replies.py."""
    return {"direct_response": {"status": status, "body": {"inline_string": message}}}


def wrong_methods(contract: Contract) -> list[Json]:
    """Return a 405 with `allow` for each path that is served, but not with the method that was used."""
    verbs: dict[str, set[str]] = {}
    for binding in contract.bindings:
        verbs.setdefault(form(binding), set()).update(methods(binding))
    examples = {form(binding): VARIABLE.sub("x", binding.path) for binding in contract.bindings}
    return [wrong_method(this, verbs, examples) for this in verbs]


def methods(binding: Binding) -> set[str]:
    """Return the HTTP methods that a binding serves. A stream has no HEAD: the answer would never be complete."""
    return {binding.verb, "HEAD"} if binding.verb == "GET" and not binding.streams else {binding.verb}


def wrong_method(this: str, verbs: dict[str, set[str]], examples: dict[str, str]) -> Json:
    """Return the 405 of one path. `/tenants/{id}` covers `/tenants/create` too, but a path written out is its own."""
    covered = [other for other in verbs if other != this and re.fullmatch(this, examples[other])]
    allowed = sorted(verbs[this])
    words = " and ".join(filter(None, (", ".join(allowed[:-1]), allowed[-1])))
    answer = refuse(405, f"This path allows only {words}.")
    headers = [
        matches(":path", this + QUERY),
        *(matches(":path", other + QUERY, invert=True) for other in covered),
        matches(":method", "|".join(allowed), invert=True),
    ]
    allow = {"header": {"key": "allow", "value": ", ".join(allowed)}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
    return {**route(headers, answer), "response_headers_to_add": [allow]}


def form(binding: Binding) -> str:
    """Return the regular expression (RE2 and Python) of the paths that a binding serves."""
    return "[^/?]+".join(re.escape(literal) for literal in VARIABLE.split(binding.path)[::2])
