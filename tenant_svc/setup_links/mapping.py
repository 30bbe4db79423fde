"""Conversions between set-up links of the domain and the messages of the contract. No decisions are made here."""

from __future__ import annotations

from tenantmesh.chassis.moments import timestamp
from tenantmesh.tenant.v1 import setup_link_pb2
from tenantmesh.tenant.v1 import setup_link_service_pb2 as pb
from tenantmesh.tenant_svc.setup_links.setup_link import LinkState, SetupIntent, SetupLink
from tenantmesh.tenant_svc.setup_links.steps import StepResult
from tenantmesh.tenant_svc.viewers import Viewer

__all__ = ["intent_of", "link_message", "redeemed_message", "shown_link_message"]

_INTENTS = {intent: setup_link_pb2.SetupIntent.Value(f"SETUP_INTENT_{intent.value}") for intent in SetupIntent}
_STATES = {state: setup_link_pb2.SetupLinkState.Value(f"SETUP_LINK_STATE_{state.value}") for state in LinkState}
_INTENT_OF = {number: intent for intent, number in _INTENTS.items()}


def intent_of(number: int) -> SetupIntent | None:
    """Return the intent in a request; None where it is unset or unknown."""
    return _INTENT_OF.get(setup_link_pb2.SetupIntent.ValueType(number))


def link_message(link: SetupLink, viewer: Viewer) -> setup_link_pb2.SetupLink:
    """Return the link as the viewer sees it. Users see no credentials of operators."""
    return setup_link_pb2.SetupLink(
        setup_link_id=str(link.id),
        intent=_INTENTS[link.intent],
        note=link.note,
        state=_STATES[link.state],
        actor=viewer.note(link.actor),
        create_time=timestamp(link.create_time),
        expire_time=timestamp(link.expire_time),
        use_time=None if link.use_time is None else timestamp(link.use_time),
        revoke_time=None if link.revoke_time is None else timestamp(link.revoke_time),
        result=link.result,
    )


def shown_link_message(link: SetupLink, display_name: str) -> pb.GetSetupLinkResponse:
    """Return the link as those see it who have its token."""
    return pb.GetSetupLinkResponse(
        intent=_INTENTS[link.intent],
        note=link.note,
        tenant_display_name=display_name,
        expire_time=timestamp(link.expire_time),
    )


def redeemed_message(link: SetupLink, result: StepResult) -> pb.RedeemSetupLinkResponse:
    """Return what the step has added."""
    return pb.RedeemSetupLinkResponse(
        intent=_INTENTS[link.intent],
        setup_link_id=str(link.id),
        name=result.name,
        dns_name=result.dns_name,
        dns_value=result.dns_value,
        http_url=result.http_url,
    )
