"""Where a page of features or plans goes on, as the opaque strings that callers keep and send back."""

from __future__ import annotations

from tenantmesh.chassis.opaque import pack, unpack
from tenantmesh.interceptors.errors import FieldViolation, InvalidArgument
from tenantmesh.tenant_svc.plans.rules import id_problem

__all__ = ["feature_token", "open_feature_token", "open_plan_token", "page_size", "plan_token"]

DEFAULT_PAGE = 50
LARGEST_PAGE = 1000
_FEATURES, _PLANS = b"tm.feats", b"tm.plans"  # what a token was made for; at most 8 bytes
_VERSION_BYTES = 4
_LAST_VERSION = 2**31 - 1


def feature_token(feature_id: str) -> str:
    """The token of the page that begins after this feature."""
    return pack(_FEATURES, feature_id.encode())


def open_feature_token(token: str) -> str:
    """The feature after which the page begins. Raises InvalidArgument for what `feature_token` did not make."""
    return _id(_open(_FEATURES, token))


def plan_token(plan_id: str, version: int) -> str:
    """The token of the page that begins after this version of a plan."""
    return pack(_PLANS, version.to_bytes(_VERSION_BYTES) + plan_id.encode())


def open_plan_token(token: str) -> tuple[str, int]:
    """The version after which the page begins. Raises InvalidArgument for what `plan_token` did not make."""
    after = _open(_PLANS, token)
    version = int.from_bytes(after[:_VERSION_BYTES])
    if version > _LAST_VERSION:
        raise _not_ours()
    return _id(after[_VERSION_BYTES:]), version


def page_size(asked: int) -> int:
    """How many a page holds. Raises InvalidArgument for fewer than none."""
    if asked < 0:
        raise InvalidArgument.fields([FieldViolation("page_size", "must not be negative")])
    return min(asked or DEFAULT_PAGE, LARGEST_PAGE)


def _open(purpose: bytes, token: str) -> bytes:
    try:
        return unpack(purpose, token) if token else b""
    except ValueError as error:
        raise _not_ours() from error


def _id(sealed: bytes) -> str:
    """The id in a token; empty before the first. Whoever forges a token may put anything there."""
    text = sealed.decode("ascii", "replace")
    if text and id_problem(text):
        raise _not_ours()
    return text


def _not_ours() -> InvalidArgument:
    violation = FieldViolation("page_token", "must be the next_page_token of the page before, unchanged")
    return InvalidArgument.fields([violation])
