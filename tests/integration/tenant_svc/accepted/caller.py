"""A caller of every method of tenant_svc, with a request of each that is accepted as it is."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import grpc
from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from tenantmesh.policy.v1 import policy_pb2
from tests.integration.tenant_svc.accepted.work import Work
from tests.integration.tenant_svc.serving import Service
from tests.transports import descriptor

TOO_MANY = "Too many calls "
PACKAGE = "tenantmesh.tenant.v1"
PURGE = "TenantService/PurgeTenant"
ARCHIVE = f"{PACKAGE}.PlanService/ArchivePlan"
CODE = grpc.StatusCode
REFUSED = {
    CODE.INVALID_ARGUMENT, CODE.NOT_FOUND, CODE.ALREADY_EXISTS, CODE.FAILED_PRECONDITION, CODE.RESOURCE_EXHAUSTED,
    CODE.ABORTED, CODE.OUT_OF_RANGE,
}  # fmt: skip
OF_OPERATIONS = {"GetOperation", "WaitOperation"}
COLORS = {"primary": "#7c3aed", "background": "#ffffff", "text": "#1f2937"}
WHOLE = {"paths": ["display_name", "time_zone", "locale", "currency", "external_id", "contacts"]}
FAR = Timestamp(seconds=253_402_300_799, nanos=999_998_000)

Fields = dict[str, Any]


def unused_slug() -> str:
    return f"t-{uuid.uuid4().hex[:20]}"


def unused_name() -> str:
    return f"n{uuid.uuid4().hex[:20]}.net"


def unique(prefix: str) -> str:
    return f"{prefix}_{uuid.uuid4().hex[:20]}"


class Caller:
    """Calls every method of tenant_svc, about a tenant and features of its own."""

    def __init__(self, service: Service, work: Work) -> None:
        self._work = work
        self._operator = service.channel(service.auth.key(policy_pb2.AUDIENCE_OPERATOR, "*"))
        owner = service.auth.key(policy_pb2.AUDIENCE_SERVICE, "*", name="auth_svc")  # who reports users in every test
        self._service = service.channel(owner)
        self.features = {kind: unique(kind.lower()) for kind in ("BOOLEAN", "STATIC", "METERED", "GAUGE")}
        self.meter, self.gauge, self.static = (self.features[kind] for kind in ("METERED", "GAUGE", "STATIC"))
        self.plan, self.archived, self.slug = unique("plan"), unique("plan"), unused_slug()
        self.period = Timestamp()
        self.grant = self.allocation = self.operation = ""
        self.host, self.proven, self.domain = unused_name(), f"{unused_slug()}.hosts.test", unused_name()
        self.link = self.token = self.spare = self.buried = self.purged = ""
        self.branding: Any = None

    def request(self, method: MethodDescriptor, fields: Fields) -> Message:
        made: Message = message_factory.GetMessageClass(method.input_type)(**fields)
        return made

    def _on_channel(self, method: MethodDescriptor) -> Any:
        leases = method.name in {"Lease", "Return", "ReportGauge"}
        channel = self._service if leases else self._operator
        kind = channel.unary_stream if method.server_streaming else channel.unary_unary
        answer = message_factory.GetMessageClass(method.output_type)
        path = f"/{method.containing_service.full_name}/{method.name}"
        return kind(path, lambda message: message.SerializeToString(), answer.FromString)

    def send(self, method: MethodDescriptor, request: Message) -> Any:
        return self._on_channel(method)(request, timeout=20)

    async def ask(self, name: str, **fields: Any) -> Any:
        """An answer that must come."""
        method = descriptor(f"{PACKAGE}.{name}")
        answer = await self._answered(method, self.request(method, fields))
        assert isinstance(answer, Message), "grpc.aio answers None where a client can't parse the message"
        return answer

    async def _answered(self, method: MethodDescriptor, request: Message) -> Any:
        """The answer, asked for again where only waiting helps: a limit of an address, a busy or an absent part."""
        async with asyncio.timeout(30):
            while True:
                try:
                    return await self.send(method, request)
                except grpc.aio.AioRpcError as error:
                    if error.code() is not CODE.UNAVAILABLE and not (error.details() or "").startswith(TOO_MANY):
                        raise
                    await asyncio.sleep(0.05)

    async def begin(self) -> None:
        for kind, feature in self.features.items():
            await self.ask("PlanService/CreateFeature", feature=self.new_feature(kind, feature))
        for plan in (self.plan, self.archived):
            await self.ask("PlanService/CreatePlan", plan=self.new_plan(plan))
        await self.ask("PlanService/PublishPlan", id=self.plan)
        await self.ask("PlanService/UpdatePlan", id=self.plan, plan=self.new_plan(self.plan))
        made = await self.ask("TenantService/CreateTenant", slug=self.slug, plan_id=self.plan)
        asks = [{"meter": self.meter, "want": 1, "need": 1}]
        leased = await self.ask("QuotaService/Lease", id=self.slug, asks=asks)
        self.period = leased.slices[0].period_start
        await self.ask(
            "EntitlementService/SetOverride", id=self.slug, feature="users", override={"value": {"limit": 5}}
        )
        self.grant = (await self.ask("EntitlementService/CreateGrant", id=self.slug, grant=self.new_grant())).id
        started = await self.ask("TenantService/MigrateTenantPlan", id=self.slug, plan_id=self.plan)
        await self._carry_on("TenantService/MigrateTenantPlan", started)
        await self.reserve()
        await self._begin_names()
        await self._work.prove(made.id, self.proven)
        self.spare = (await self.ask("TenantService/CreateTenant", slug=unused_slug())).id
        await self._bury()
        await self._carry_on(PURGE, await self.ask(PURGE, id=self.buried))

    async def _bury(self) -> None:
        """Deletes a tenant for the next purge."""
        self.buried = (await self.ask("TenantService/CreateTenant", slug=unused_slug())).id
        await self.ask("TenantService/DeleteTenant", id=self.buried)

    async def _begin_names(self) -> None:
        await self.ask("LoginHostService/CreateLoginHost", id=self.slug, host=self.host)
        await self.ask("EmailDomainService/CreateEmailDomain", id=self.slug, domain=self.domain)
        await self._new_link()
        self.branding = await self.ask("BrandingService/GetDefaultBranding")

    async def end(self) -> None:
        """Leaves to other tests what all tenants share: the default branding, and the plans on offer."""
        self.branding.etag = ""
        await self.ask("BrandingService/UpdateDefaultBranding", branding=self.branding)
        for version in (1, 2):
            archived = {"id": self.plan, "version": version}
            await self.write("PlanService/ArchivePlan", self.request(descriptor(ARCHIVE), archived))

    async def _new_link(self) -> None:
        """Makes a link for the next request: each is used once."""
        made = await self.ask("SetupLinkService/CreateSetupLink", id=self.slug, intent="SETUP_INTENT_EMAIL_DOMAIN")
        self.link, self.token = made.setup_link.setup_link_id, made.token

    async def reserve(self) -> None:
        """Makes a reservation for the next request, unless an accepted one has left nothing."""
        amounts = [{"meter": self.meter, "amount": 1}]
        with suppress(grpc.aio.AioRpcError):
            self.allocation = (await self.ask("QuotaService/Allocate", id=self.slug, amounts=amounts)).id

    def new_feature(self, kind: str, feature: str) -> Fields:
        return {
            "id": feature,
            "type": f"FEATURE_TYPE_{kind}",
            "display_name": "A feature",
            "unit": "piece" if kind in {"METERED", "GAUGE"} else "",
            "period": "PERIOD_MONTH" if kind == "METERED" else "PERIOD_UNSPECIFIED",
        }

    def new_plan(self, plan: str) -> Fields:
        return {
            "id": plan,
            "display_name": "A plan",
            "features": [
                {"feature": self.static, "value": {"static": {"string_value": "blue"}}},
                {"feature": self.meter, "value": {"limit": 10**15}},
                {"feature": self.gauge, "value": {"unlimited": True}},
            ],
            "rates": [{"rate_class": "default", "per_second": 1000.0, "burst": 1000}],
            "billing_period": "PERIOD_MONTH",
        }

    def new_grant(self) -> Fields:
        return {"feature": self.meter, "amount": 5, "expire_time": FAR, "max_rollover": 3, "min_rollover": 2}

    @property
    def writes(self) -> dict[str, Callable[[], Fields]]:
        """A request of every method that writes, which is accepted as it is."""
        tenant, request_id = {"id": self.slug}, str(uuid.uuid4())
        amounts = [{"meter": self.meter, "amount": 1}]
        static = {"value": {"static": {"number_value": 1}}, "reason": "why"}
        return {
            "TenantService/CreateTenant": lambda: {"slug": unused_slug(), "request_id": request_id},
            "TenantService/SuspendTenant": lambda: {**tenant, "reason": "why"},
            "TenantService/ResumeTenant": lambda: tenant,
            "TenantService/MigrateTenantPlan": lambda: {
                **tenant, "plan_id": self.plan, "over_limit_policy": "OVER_LIMIT_POLICY_GRACE", "grace_until": FAR,
                "request_id": request_id,
            },
            "PlanService/CreateFeature": lambda: {"feature": self.new_feature("BOOLEAN", unique("f"))},
            "PlanService/UpdateFeature": lambda: {"id": self.meter, "feature": self.new_feature("METERED", self.meter)},
            "PlanService/CreatePlan": lambda: {"plan": self.new_plan(unique("plan"))},
            "PlanService/UpdatePlan": lambda: {"id": self.plan, "plan": self.new_plan(self.plan)},
            "PlanService/SetPlanListed": lambda: {"id": self.plan, "listed": False},
            "PlanService/SetDefaultPlan": lambda: {"id": "basic"},
            "PlanService/PublishPlan": lambda: {"id": self.plan},
            "PlanService/ArchivePlan": lambda: {"id": self.archived, "version": 1},
            "EntitlementService/SetOverride": lambda: {**tenant, "feature": self.static, "override": static},
            "EntitlementService/ClearOverride": lambda: {**tenant, "feature": self.gauge, "reason": "why"},
            "EntitlementService/CreateGrant": lambda: {**tenant, "grant": self.new_grant(), "request_id": request_id},
            "EntitlementService/VoidGrant": lambda: {**tenant, "grant_id": self.grant, "reason": "why"},
            "QuotaService/Lease": lambda: {**tenant, "asks": [{"meter": self.meter, "want": 1, "need": 1}]},
            "QuotaService/Return": lambda: {
                **tenant, "meter": self.meter, "amount": 1, "period_start": self.period
            },
            "QuotaService/Allocate": lambda: {**tenant, "amounts": amounts, "request_id": request_id},
            "QuotaService/Commit": lambda: {**tenant, "allocation_id": self.allocation, "amounts": amounts},
            "QuotaService/Release": lambda: {**tenant, "allocation_id": self.allocation},
            "QuotaService/AdjustGauge": lambda: {**tenant, "gauge": self.gauge, "delta": 1, "key": request_id},
            "QuotaService/ReportGauge": lambda: {**tenant, "gauge": "users", "level": 1, "version": 1},
            "OperationService/CancelOperation": lambda: {**tenant, "operation_id": self.operation},
            **self._writes_of_names,
            **self._writes_of_lives,
        }  # fmt: skip

    @property
    def _writes_of_names(self) -> dict[str, Callable[[], Fields]]:
        """Writes of a tenant's names and branding."""
        tenant, branding = {"id": self.slug}, {"display_name": "Shown", "colors": COLORS}
        return {
            "LoginHostService/CreateLoginHost": lambda: {**tenant, "host": unused_name()},
            "LoginHostService/BatchCreateLoginHosts": lambda: {**tenant, "hosts": [unused_name()]},
            "LoginHostService/VerifyLoginHost": lambda: {**tenant, "host": self.host},
            "LoginHostService/MakePrimaryLoginHost": lambda: {**tenant, "host": self.proven},
            "LoginHostService/DeleteLoginHost": lambda: {**tenant, "host": self.host},
            "EmailDomainService/CreateEmailDomain": lambda: {**tenant, "domain": unused_name()},
            "EmailDomainService/BatchCreateEmailDomains": lambda: {**tenant, "domains": [unused_name()]},
            "EmailDomainService/VerifyEmailDomain": lambda: {**tenant, "domain": self.domain},
            "EmailDomainService/DeleteEmailDomain": lambda: {**tenant, "domain": self.domain},
            "BrandingService/UpdateTenantBranding": lambda: {**tenant, "branding": branding},
            "BrandingService/UpdateDefaultBranding": lambda: {"branding": branding},
            "SetupLinkService/CreateSetupLink": lambda: {**tenant, "intent": "SETUP_INTENT_LOGIN_HOST", "note": "why"},
            "SetupLinkService/RedeemSetupLink": lambda: {"token": self.token, "name": unused_name()},
            "SetupLinkService/RevokeSetupLink": lambda: {**tenant, "setup_link_id": self.link},
        }

    @property
    def _writes_of_lives(self) -> dict[str, Callable[[], Fields]]:
        """Writes that change or delete a spare tenant, or purge one that is buried for it."""
        tenant, spare = {"id": self.slug}, {"id": self.spare}
        named = {"tenant": {"display_name": "Named"}, "update_mask": {"paths": ["display_name"]}}
        return {
            "TenantService/UpdateTenant": lambda: {**tenant, "tenant": self.whole_tenant(), "update_mask": WHOLE},
            "TenantService/DeleteTenant": lambda: {**spare, "reason": "why"},
            "TenantService/UndeleteTenant": lambda: spare,
            "TenantService/PurgeTenant": lambda: {"id": self.buried},
            "TenantBulkService/BatchCreateTenants": lambda: {"requests": [{"slug": unused_slug()}]},
            "TenantBulkService/BatchUpdateTenants": lambda: {"requests": [{**spare, **named}]},
            "TenantBulkService/BatchSuspendTenants": lambda: {"requests": [{**spare, "reason": "why"}]},
            "TenantBulkService/BatchDeleteTenants": lambda: {"requests": [spare]},
            "TenantBulkService/ImportTenants": lambda: {"lines": json.dumps({"slug": unused_slug()}).encode()},
        }

    def whole_tenant(self) -> Fields:
        """Every field of a tenant that a client may set, but for those that lead to it."""
        return {
            "display_name": "Named", "time_zone": "UTC", "locale": "de", "currency": "EUR",
            "external_id": unique("crm"), "contacts": [{"display_name": "Ada", "email": "ada@people.example"}],
        }  # fmt: skip

    @property
    def reads(self) -> dict[str, Fields]:
        """A request of every method that reads, about what the writes concern."""
        tenant = {"id": self.slug}
        checks = [{"id": self.slug, "feature": feature, "amount": 1} for feature in self.features.values()]
        return {
            "TenantService/GetTenant": tenant,
            "TenantService/ListTenants": {"page_size": 1000, "show_deleted": True},
            "TenantService/ResolveTenant": {"slug": self.slug},
            "PlanService/GetFeature": {"id": self.meter},
            "PlanService/ListFeatures": {"page_size": 1000},
            "PlanService/GetDefaultPlan": {},
            "PlanService/GetPlan": {"id": self.plan, "version": 1},
            "PlanService/ListPlans": {"plan_id": self.plan, "all_versions": True},
            "PlanService/DiffPlanVersions": {
                "id": "basic",
                "version": 1,
                "to_plan_id": self.plan,
                "to_version": 1,
            },
            "EntitlementService/GetEntitlements": tenant,
            "EntitlementService/CheckEntitlement": {**tenant, "feature": self.meter},
            "EntitlementService/BatchCheckEntitlements": {"checks": checks},
            "EntitlementService/ExplainEntitlement": {**tenant, "feature": self.meter},
            "EntitlementService/ListOverrides": tenant,
            "EntitlementService/ListGrants": tenant,
            "EntitlementService/ListEntitlementChanges": {**tenant, "page_size": 1000},
            "OperationService/ListOperations": {**tenant, "page_size": 1000},
            "LoginHostService/GetLoginHost": {**tenant, "host": self.host},
            "LoginHostService/ListLoginHosts": {**tenant, "page_size": 1000},
            "EmailDomainService/GetEmailDomain": {**tenant, "domain": self.domain},
            "EmailDomainService/ListEmailDomains": {**tenant, "page_size": 1000},
            "BrandingService/GetBranding": {"slug": self.slug},
            "BrandingService/GetTenantBranding": tenant,
            "BrandingService/GetDefaultBranding": {},
            "SetupLinkService/GetSetupLink": {"token": self.token},
            "SetupLinkService/ListSetupLinks": {**tenant, "page_size": 1000},
            "InvitationRequestService/ListInvitationRequests": {"page_size": 1000},
            "PurgeService/GetPurge": {"tenant_id": self.purged},
            "PurgeService/ListPurges": {"page_size": 1000},
            "PurgeService/GetPurgeKeys": {},
        }

    async def write(self, name: str, request: Message) -> bool:
        """Sends the request, and returns whether it was accepted. It must be accepted or refused, and never fail."""
        try:
            answer = await self._answered(descriptor(f"{PACKAGE}.{name}"), request)
        except grpc.aio.AioRpcError as error:
            if error.code() not in REFUSED:
                raise AssertionError(f"{name} failed on {request!r}") from error
            return False
        await self._carry_on(name, answer)
        return True

    async def _carry_on(self, name: str, answer: Any) -> None:
        """What a worker and other callers do next, so that the next request finds its tenant as it was."""
        match name.partition("/")[2]:
            case "SuspendTenant":
                await self.ask("TenantService/ResumeTenant", id=self.slug)
            case "MigrateTenantPlan" if answer.name:
                self.operation = await self._work.change_plan(answer.name)
            case "PurgeTenant" if answer.name:
                await self._work.purge(answer.name)
                self.purged = self.buried
                await self._bury()
            case "PublishPlan":
                await self.ask("PlanService/UpdatePlan", id=self.plan, plan=self.new_plan(self.plan))
            case "CreateGrant":
                self.grant = answer.id
            case "Commit" | "Release":
                await self.reserve()
            case "BatchSuspendTenants":
                await self.ask("TenantService/ResumeTenant", id=self.spare)
            case "DeleteTenant" | "BatchDeleteTenants":
                await self.ask("TenantService/UndeleteTenant", id=self.spare)
            case _:
                await self._carry_on_names(name, answer)

    async def _carry_on_names(self, name: str, answer: Any) -> None:
        match name.partition("/")[2]:
            case "CreateLoginHost":
                await self._drop_hosts([answer])
            case "BatchCreateLoginHosts":
                await self._drop_hosts(answer.login_hosts)
            case "DeleteLoginHost":
                await self.ask("LoginHostService/CreateLoginHost", id=self.slug, host=self.host)
            case "CreateEmailDomain":
                await self._drop_domains([answer])
            case "BatchCreateEmailDomains":
                await self._drop_domains(answer.email_domains)
            case "DeleteEmailDomain":
                await self.ask("EmailDomainService/CreateEmailDomain", id=self.slug, domain=self.domain)
            case "RedeemSetupLink" | "RevokeSetupLink":
                await self._new_link()

    async def _drop_hosts(self, made: Iterable[Any]) -> None:
        """Makes room: a tenant has only so many. One that was only validated is not there."""
        for each in made:
            with suppress(grpc.aio.AioRpcError):
                await self.ask("LoginHostService/DeleteLoginHost", id=self.slug, host=each.host)

    async def _drop_domains(self, made: Iterable[Any]) -> None:
        for each in made:
            with suppress(grpc.aio.AioRpcError):
                await self.ask("EmailDomainService/DeleteEmailDomain", id=self.slug, domain=each.domain)

    async def read_everything(self, after: str) -> None:
        """Asks every method that reads. `after` names the write before it, for a failure."""
        own = {"id": self.slug, "operation_id": self.operation}
        reads = {**self.reads, **{f"OperationService/{name}": own for name in OF_OPERATIONS}}
        answers = [self.ask(name, **fields) for name, fields in reads.items()]
        for name, answer in zip(reads, await asyncio.gather(*answers, return_exceptions=True), strict=True):
            if isinstance(answer, BaseException):
                raise AssertionError(f"{name} failed after {after}") from answer

    async def watch_everything(self) -> None:
        """Reads what each watch says of everything there is, from its beginning."""
        for name in ("TenantService/WatchTenants", "EntitlementService/WatchEntitlements"):
            method = descriptor(f"{PACKAGE}.{name}")
            for start in ("snapshot", "earliest"):
                call = self.send(method, self.request(method, {start: True}))
                async for message in call:
                    assert message.WhichOneof("event") != "error", message
                    if message.checkpoint.caught_up:
                        break
                call.cancel()
