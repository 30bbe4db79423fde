"""The bound of each stranger: so many calls of an address and of a credential, before anything is done for them."""

from __future__ import annotations

from tenantmesh.deploy.envoy.limits import EdgeLimits
from tenantmesh.deploy.envoy.parts import Json, http_filter

__all__ = ["RATE_LIMITED", "rates"]

RATE_LIMITED = "local_rate_limited"
"""Envoy's detail of such a refusal."""

ADDRESS, CREDENTIAL = "masked_remote_address", "credential"
ALWAYS = {"default_value": {"numerator": 100}}
# A caller's whole network of 64 bits is one caller: it costs nothing to have all its addresses.
BY_ADDRESS = {"masked_remote_address": {"v4_prefix_mask_len": 32, "v6_prefix_mask_len": 64}}
BY_CREDENTIAL = {"request_headers": {"header_name": "authorization", "descriptor_key": CREDENTIAL}}
FILLS_A_SECOND = 10
UNLIMITED = 1_000_000_000


def rates(limits: EdgeLimits) -> Json:
    """Return the filter that refuses the calls of an address, or with a credential, that come too fast."""
    return http_filter(
        "local_ratelimit",
        "LocalRateLimit",
        stat_prefix="edge",
        filter_enabled=ALWAYS,
        filter_enforced=ALWAYS,
        rate_limits=[{"actions": [BY_ADDRESS]}, {"actions": [BY_CREDENTIAL]}],
        descriptors=[
            counted(ADDRESS, limits.address_rate, limits.address_burst),
            counted(CREDENTIAL, limits.credential_rate, limits.credential_burst),
        ],
        max_dynamic_descriptors=limits.counted_callers,
        # Envoy asks for one bucket of all callers. This one is never empty.
        token_bucket=bucket(UNLIMITED, UNLIMITED),
        always_consume_default_token_bucket=False,
        rate_limited_as_resource_exhausted=True,
        response_headers_to_add=[{"header": {"key": "retry-after", "value": "1"}}],
    )


def counted(key: str, rate: int, burst: int) -> Json:
    """Return a bucket for each value that the key takes."""
    return {"entries": [{"key": key}], "token_bucket": bucket(rate, burst)}


def bucket(rate: int, burst: int) -> Json:
    """Return a bucket that fills evenly, several times a second."""
    fills = min(FILLS_A_SECOND, rate)
    return {
        "max_tokens": max(burst, rate // fills),
        "tokens_per_fill": rate // fills,
        "fill_interval": f"{1 / fills:g}s",
    }
