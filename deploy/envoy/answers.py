"""The filters that add to an answer: the name of a stream's format, what keeps proxies from holding a stream back, and
the challenge of a 401. Each is off by default, and on in the routes that need it."""

from __future__ import annotations

from tenantmesh.deploy.envoy.parts import Json, http_filter, switched_on, typed

__all__ = ["CHALLENGES", "FORMAT_NAME", "STREAMED", "answers", "name_the_format"]

FORMAT_NAME = "format_name"
MATCHED = "envoy.extensions.common.matching.v3.ExtensionWithMatcher"
SKIP = {
    "action": {
        "name": "skip",
        "typed_config": typed("envoy.extensions.filters.common.matcher.action.v3.SkipFilter"),
    }
}
# A proxy in front that buffers or stores a stream would keep its events from the reader.
STREAM_HEADERS = {"cache-control": "no-cache", "x-accel-buffering": "no"}
REALM = 'Bearer realm="tenantmesh"'
# RFC 6750 §3.1: no error code for a caller that sent no credential.
CHALLENGE, CHALLENGE_AGAIN = "challenge", "challenge_again"

STREAMED = switched_on("stream_headers")
CHALLENGES = switched_on(CHALLENGE) | switched_on(CHALLENGE_AGAIN)


def answers() -> list[Json]:
    """Return the filters in the order in which a request meets them."""
    sent = request_header("authorization", {"safe_regex": {"google_re2": {}, "regex": ".+"}})
    refused = status("401")
    challenge = {"www-authenticate": REALM}
    again = {"www-authenticate": f'{REALM}, error="invalid_token"'}
    return [
        format_name(),
        {**setting("stream_headers", STREAM_HEADERS), "disabled": True},
        only(CHALLENGE, challenge, both(refused, {"not_matcher": sent})),
        only(CHALLENGE_AGAIN, again, both(refused, sent)),
    ]


def setting(name: str, headers: dict[str, str]) -> Json:
    """Return a filter that sets headers of every answer."""
    values = [{"key": key, "value": value} for key, value in headers.items()]
    added = [{"append": {"header": value, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}} for value in values]
    return {**http_filter("header_mutation", "HeaderMutation", mutations={"response_mutations": added}), "name": name}


def only(name: str, headers: dict[str, str], predicate: Json) -> Json:
    """Return a filter, off by default, that sets headers of the answers for which the predicate is true."""
    failed = {"predicate": {"not_matcher": predicate}, "on_match": SKIP}
    matcher = {"matcher_list": {"matchers": [failed]}}
    config = typed(MATCHED, extension_config=setting(name, headers), xds_matcher=matcher)
    return {"name": name, "disabled": True, "typed_config": config}


def status(code: str) -> Json:
    """Match answers of this HTTP status."""
    read = typed("envoy.type.matcher.v3.HttpResponseHeaderMatchInput", header_name=":status")
    return {"single_predicate": {"input": {"name": "status", "typed_config": read}, "value_match": {"exact": code}}}


def request_header(name: str, value: Json) -> Json:
    """Match answers to requests that have such a header."""
    read = typed("envoy.type.matcher.v3.HttpRequestHeaderMatchInput", header_name=name)
    return {"single_predicate": {"input": {"name": name, "typed_config": read}, "value_match": value}}


def both(*predicates: Json) -> Json:
    """Match what all predicates match."""
    return {"and_matcher": {"predicate": list(predicates)}}


def format_name() -> Json:
    """Set `application/x-ndjson` where a stream is written in lines; the transcoder calls every format JSON.

    Switched on by the routes of streams (name_the_format), and there for answers with status 200 only: errors are JSON.
    """
    lines = {"key": "content-type", "value": "application/x-ndjson"}
    renamed = [{"append": {"header": lines, "append_action": "OVERWRITE_IF_EXISTS"}}]
    renaming = http_filter("header_mutation", "HeaderMutation", mutations={"response_mutations": renamed})
    return {
        "name": FORMAT_NAME,
        "typed_config": typed(MATCHED, extension_config=renaming, xds_matcher={"on_no_match": SKIP}),
    }


def name_the_format() -> Json:
    """Return the per-route override that switches format_name on."""
    failed = {"predicate": {"not_matcher": status("200")}, "on_match": SKIP}
    return typed(f"{MATCHED}PerRoute", xds_matcher={"matcher_list": {"matchers": [failed]}})
