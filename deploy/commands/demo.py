"""`tenantmesh demo`: walks the main job against the running stack, every call and answer printed.

It is also a check: an answer that is not as it should be ends it with exit code 1.
"""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer
from google.protobuf.descriptor import MethodDescriptor

from tenantmesh.auth.v1 import auth_service_pb2
from tenantmesh.deploy.commands.calls import Answer, DemoCall, Grpc, Rest
from tenantmesh.deploy.commands.console import Console
from tenantmesh.deploy.commands.demo_steps import STEPS
from tenantmesh.deploy.commands.edge_access import address, edge_of, operator_key
from tenantmesh.deploy.commands.options import DEFAULT_STATE, StateOption, shown
from tenantmesh.deploy.stack.errors import StackError
from tenantmesh.tenant.v1 import (
    branding_service_pb2,
    invitation_request_service_pb2,
    operation_service_pb2,
    purge_service_pb2,
    setup_link_service_pb2,
    tenant_bulk_service_pb2,
    tenant_service_pb2,
)

__all__ = ["demo"]

_PURGES = purge_service_pb2.DESCRIPTOR.services_by_name["PurgeService"].methods_by_name
_OPERATIONS = operation_service_pb2.DESCRIPTOR.services_by_name["OperationService"].methods_by_name
_TENANTS = tenant_service_pb2.DESCRIPTOR.services_by_name["TenantService"].methods_by_name
_BULK = tenant_bulk_service_pb2.DESCRIPTOR.services_by_name["TenantBulkService"].methods_by_name
_AUTH = auth_service_pb2.DESCRIPTOR.services_by_name["AuthService"].methods_by_name
_BRANDING = branding_service_pb2.DESCRIPTOR.services_by_name["BrandingService"].methods_by_name
_LINKS = setup_link_service_pb2.DESCRIPTOR.services_by_name["SetupLinkService"].methods_by_name
_INVITATIONS = invitation_request_service_pb2.DESCRIPTOR.services_by_name["InvitationRequestService"].methods_by_name
_WAITS = 6


def demo(
    state: StateOption = DEFAULT_STATE,
    edge: Annotated[str, typer.Option(help="The edge's address. Empty: that of the stack that runs here.")] = "",
    key_file: Annotated[Path | None, typer.Option(help="An operator's key. Default: that of the stack here.")] = None,
) -> None:
    """Create two tenants, register, log in, read, be refused, change and delete: over REST and over gRPC."""
    console = Console()
    host, port = address(edge or edge_of(state))
    key = key_file or state / "operator.key"
    target = f"{host}:{port}"
    targets = {"tenantmesh.tenant.v1": target, "tenantmesh.auth.v1": target}
    Story(console, Rest(host, port, console).call, Grpc(targets, console).call, key).tell()


@dataclass(slots=True)
class Person:
    """Somebody with an account in a tenant."""

    slug: str
    email: str
    password: str = field(default_factory=lambda: secrets.token_urlsafe(18), repr=False)
    token: str = field(default="", repr=False)

    @property
    def variable(self) -> str:
        """The shell variable that stands for the token in what is printed."""
        return f"{self.email.partition('@')[0].upper()}_TOKEN"


class Story:
    """The walk. `rest` and `grpc` make a call and print it."""

    def __init__(
        self, console: Console, rest: Callable[[DemoCall], Answer], grpc: Callable[[DemoCall], Answer], key: Path
    ) -> None:
        self._console, self._rest, self._grpc = console, rest, grpc
        self._key = operator_key(key)
        self._key_shown = f"$(cat {shown(key)})"
        self._number = 0

    def tell(self) -> None:
        """Walk through all of it. Raises StackError at the first answer that is not as it should be."""
        tag = secrets.token_hex(3)
        ada, bob = Person(f"acme-{tag}", "ada@acme.example"), Person(f"bolt-{tag}", "bob@bolt.example")
        self._create(ada, self._rest, "An operator creates a tenant, over REST.")
        self._create(bob, self._grpc, "The same over gRPC: another tenant.")
        self._register(ada, self._rest, "Ada registers; the header says in which tenant.")
        self._register(bob, self._grpc, "Bob registers in his, over gRPC.")
        self._log_in(ada, self._rest, "200", "Ada logs in.")
        self._log_in(bob, self._grpc, "OK", "Bob logs in, over gRPC.")
        self._read_own(ada)
        self._be_refused(ada, bob)
        self._change(ada)
        self._brand(ada)
        self._invite(f"cave-{tag}")
        self._link(ada, f"login.{ada.slug}.net")
        self._delete_and_restore(bob)
        self._do_many(f"many-{tag}")
        self._purge(bob)
        self._call_the_others(f"all-{tag}")
        self._console.title("All answers were as they should be.")

    def _create(self, person: Person, way: Callable[[DemoCall], Answer], title: str) -> None:
        self._title(title)
        answer = way(self._as_operator(_TENANTS["CreateTenant"], {"slug": person.slug}))
        _expect(answer.body.get("slug") == person.slug, answer)

    def _register(self, person: Person, way: Callable[[DemoCall], Answer], title: str) -> None:
        self._title(title)
        answer = way(_in_tenant(person.slug, _AUTH["Register"], _passwords(person)))
        _expect(answer.body.get("email") == person.email, answer)

    def _log_in(self, person: Person, way: Callable[[DemoCall], Answer], status: str, title: str) -> None:
        self._title(title)
        answer = way(_in_tenant(person.slug, _AUTH["Login"], _passwords(person)))
        _expect(answer.status == status and "accessToken" in answer.body, answer)
        person.token = str(answer.body["accessToken"])
        self._console.plain(f"$ {person.variable}={person.token}")

    def _read_own(self, ada: Person) -> None:
        get = _TENANTS["GetTenant"]
        self._title("Ada reads her tenant, over REST.")
        _expect_slug(self._rest(_as_user(ada, get, {"id": ada.slug})), ada.slug)
        self._title("And over gRPC.")
        _expect_slug(self._grpc(_as_user(ada, get, {"id": ada.slug})), ada.slug)

    def _be_refused(self, ada: Person, bob: Person) -> None:
        get = _TENANTS["GetTenant"]
        self._title("Without a token the call is refused, over REST.")
        _expect_refusal(self._rest(DemoCall(get, {"id": ada.slug})), "401")
        self._title("And over gRPC.")
        _expect_refusal(self._grpc(DemoCall(get, {"id": ada.slug})), "UNAUTHENTICATED")
        self._title("With Bob's token Ada's tenant looks as if it did not exist, over REST.")
        _expect_refusal(self._rest(_as_user(bob, get, {"id": ada.slug})), "404")
        self._title("And over gRPC.")
        _expect_refusal(self._grpc(_as_user(bob, get, {"id": ada.slug})), "NOT_FOUND")

    def _change(self, ada: Person) -> None:
        self._title("An operator renames Ada's tenant, over REST.")
        update = {"id": ada.slug, "tenant": {"displayName": "Acme International"}, "updateMask": "displayName"}
        answer = self._rest(self._as_operator(_TENANTS["UpdateTenant"], update))
        _expect(answer.body.get("displayName") == "Acme International", answer)

    def _brand(self, ada: Person) -> None:
        named = {"id": ada.slug}
        self._title("An operator gives Ada's tenant a name and colours for the page before sign-in, over REST.")
        branding = {"displayName": "Acme", "colors": {"primary": "#7c3aed", "background": "#ffffff", "text": "#1f2937"}}
        changed = self._rest(self._as_operator(_BRANDING["UpdateTenantBranding"], {**named, "branding": branding}))
        _expect(changed.body.get("displayName") == "Acme", changed)
        self._title("Anybody is shown them, over REST.")
        shown_now = self._rest(DemoCall(_BRANDING["GetBranding"], {"slug": ada.slug}))
        _expect(shown_now.body.get("displayName") == "Acme", shown_now)
        self._title("For a tenant that does not exist there is the default, over gRPC.")
        default = self._grpc(DemoCall(_BRANDING["GetBranding"], {"slug": f"{ada.slug}-no"}))
        _expect(default.body.get("displayName") not in {None, "Acme"}, default)

    def _invite(self, slug: str) -> None:
        self._title("An operator creates a tenant and names its first administrator, over REST.")
        new = {"slug": slug, "firstAdministratorEmail": "cleo@cave.example"}
        made = self._rest(self._as_operator(_TENANTS["CreateTenant"], new))
        _expect(made.body.get("slug") == slug, made)
        self._title("The invitation waits to be delivered, over gRPC.")
        waiting = self._grpc(self._as_operator(_INVITATIONS["ListInvitationRequests"], {"pageSize": 1000}))
        _expect("invitationRequests" in waiting.body, waiting)

    def _link(self, ada: Person, host: str) -> None:
        self._title("An operator makes a link for a login host of Ada's tenant, over REST.")
        asked = {"id": ada.slug, "intent": "SETUP_INTENT_LOGIN_HOST"}
        token = str(self._rest(self._as_operator(_LINKS["CreateSetupLink"], asked)).body.get("token", ""))
        self._title("Somebody without an account sees what it is for, over gRPC, and uses it, over REST.")
        seen = self._grpc(DemoCall(_LINKS["GetSetupLink"], {"token": token}))
        _expect(seen.body.get("intent") == "SETUP_INTENT_LOGIN_HOST", seen)
        done = self._rest(DemoCall(_LINKS["RedeemSetupLink"], {"token": token, "name": host}))
        _expect(done.body.get("name") == host, done)
        self._title("It works once, over gRPC.")
        _expect_refusal(self._grpc(DemoCall(_LINKS["RedeemSetupLink"], {"token": token, "name": host})), "NOT_FOUND")

    def _delete_and_restore(self, bob: Person) -> None:
        named = {"id": bob.slug}
        self._title("An operator deletes Bob's tenant, over gRPC. Its data is kept for thirty days.")
        deleted = self._grpc(self._as_operator(_TENANTS["DeleteTenant"], named))
        _expect(deleted.body.get("tenant", {}).get("state") == "TENANT_STATE_DELETED", deleted)
        self._title("And brings it back, over REST.")
        restored = self._rest(self._as_operator(_TENANTS["UndeleteTenant"], named))
        _expect(restored.body.get("state") == "TENANT_STATE_ACTIVE", restored)

    def _do_many(self, prefix: str) -> None:
        self._title("Two tenants in one call, over REST: both are created, or none.")
        slugs = [f"{prefix}-{number}" for number in (1, 2)]
        made = self._rest(
            self._as_operator(_BULK["BatchCreateTenants"], {"requests": [{"slug": slug} for slug in slugs]})
        )
        _expect([each["tenant"]["slug"] for each in made.body.get("results", [])] == slugs, made)
        for method, more in (
            ("BatchUpdateTenants", {"tenant": {"locale": "de"}, "updateMask": "locale"}),
            ("BatchSuspendTenants", {"reason": "a demonstration"}),
            ("BatchDeleteTenants", {}),
        ):
            self._title(f"{method}, over gRPC.")
            request = {"requests": [{"id": slug, **more} for slug in slugs]}
            done = self._grpc(self._as_operator(_BULK[method], request))
            _expect(len(done.body.get("results", [])) == len(slugs), done)
        self._title("A line of JSON becomes a tenant, by an operation of the mesh.")
        line = json.dumps({"slug": f"{prefix}-3", "externalId": f"demo:{prefix}"}).encode()
        lines = {"lines": base64.b64encode(line).decode()}
        started = self._rest(self._as_operator(_BULK["ImportTenants"], lines))
        _expect(str(started.body.get("name", "")).startswith("operations/"), started)

    def _purge(self, bob: Person) -> None:
        named = {"id": bob.slug}
        self._title("The rows that would go with Bob's tenant are counted, over gRPC. Nothing is deleted.")
        would = self._grpc(self._as_operator(_TENANTS["DeleteTenant"], {**named, "validateOnly": True}))
        _expect(bool(would.body.get("contents")), would)
        self._grpc(self._as_operator(_TENANTS["DeleteTenant"], named))
        self._title("Its data is destroyed for good, as an operation, over REST.")
        purge = self._rest(self._as_operator(_TENANTS["PurgeTenant"], named))
        _expect(purge.body.get("name", "").startswith("operations/"), purge)
        self._title("The operation is waited for, over gRPC, until it is done.")
        self._wait(str(purge.body["name"]).rpartition("/")[2])
        self._title("Its proof stays, over REST.")
        gone = {"tenant_id": would.body["tenant"]["id"]}
        proven = self._rest(self._as_operator(_PURGES["GetPurge"], gone))
        _expect("proof" in proven.body, proven)
        listed = self._grpc(self._as_operator(_PURGES["ListPurges"], {"pageSize": 1}))
        _expect(bool(listed.body.get("purges")), listed)
        self._title("The keys that verify the proof of it are public.")
        keys = self._rest(DemoCall(_PURGES["GetPurgeKeys"]))
        _expect(bool(keys.body.get("keys")), keys)

    def _wait(self, operation_id: str) -> None:
        for _ in range(_WAITS):
            asked = {"operationId": operation_id, "timeout": "5s"}
            ended = self._grpc(self._as_operator(_OPERATIONS["WaitOperation"], asked))
            if ended.body.get("done"):
                return
        _expect(False, ended)

    def _call_the_others(self, slug: str) -> None:
        known = {"slug": slug}
        for number, step in enumerate(STEPS):
            over, way = (("gRPC", self._grpc), ("REST", self._rest))[number % 2]
            self._title(f"{step.method.name}, over {over}.")
            answer = way(self._as_operator(step.method, step.filled(known)))
            _expect(step.fulfilled(answer), answer)
            known |= step.kept(answer)

    def _as_operator(self, method: MethodDescriptor, request: dict[str, Any]) -> DemoCall:
        return DemoCall(
            method, request, {"authorization": f"Bearer {self._key}"}, {"authorization": f"Bearer {self._key_shown}"}
        )

    def _title(self, text: str) -> None:
        self._number += 1
        self._console.plain()
        self._console.title(f"{self._number}. {text}")


def _as_user(person: Person, method: MethodDescriptor, request: dict[str, Any]) -> DemoCall:
    return DemoCall(
        method, request, {"authorization": f"Bearer {person.token}"}, {"authorization": f"Bearer ${person.variable}"}
    )


def _in_tenant(slug: str, method: MethodDescriptor, request: dict[str, Any]) -> DemoCall:
    return DemoCall(method, request, {"x-tenant-slug": slug})


def _passwords(person: Person) -> dict[str, Any]:
    return {"email": person.email, "password": person.password}


def _expect_slug(answer: Answer, slug: str) -> None:
    _expect(answer.body.get("slug") == slug, answer)


def _expect_refusal(answer: Answer, status: str) -> None:
    _expect(answer.status == status, answer)


def _expect(fulfilled: bool, answer: Answer) -> None:
    if not fulfilled:
        raise StackError(
            f"that answer ({answer.status}) is not what this walk expects.", remedy="See tenantmesh doctor"
        )
