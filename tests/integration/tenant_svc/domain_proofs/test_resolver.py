"""The DNS adapter against a real DNS server, over UDP and TCP."""

from __future__ import annotations

import asyncio
import ipaddress
from datetime import timedelta

import pytest

from tenantmesh.tenant_svc.domain_proofs.dns_resolver import DnsResolver
from tenantmesh.tenant_svc.domain_proofs.resolver import Addresses, NoAnswer, NoRecords, Texts
from tests.dns_server import SILENT, NameServer
from tests.ports import free_port

SHORT = timedelta(milliseconds=300)


async def test_records_come_with_their_strings_joined(zone: NameServer, resolver: DnsResolver) -> None:
    zone.txt("_tenantmesh.joined.test", [b"tenantmesh-", b"proof=", b"abc"], "v=spf1 -all", [b"\xff\xfe"])
    found = await resolver.texts("_tenantmesh.joined.test")
    assert isinstance(found, Texts)
    assert set(found.texts) == {"tenantmesh-proof=abc", "v=spf1 -all", "\ufffd\ufffd"}


async def test_a_name_is_asked_for_in_any_case(zone: NameServer, resolver: DnsResolver) -> None:
    zone.txt("_TenantMesh.Case.Test", "text")
    assert await resolver.texts("_tenantmesh.case.test") == Texts(("text",))


async def test_an_answer_that_is_too_long_for_udp_comes_over_tcp(zone: NameServer, resolver: DnsResolver) -> None:
    texts = [f"{number:03}" + "x" * 200 for number in range(40)]
    zone.txt("long.test", *texts)
    found = await resolver.texts("long.test")
    assert isinstance(found, Texts)
    assert sorted(found.texts) == texts
    assert {protocol for name, _, protocol in zone.asked if name == "long.test"} == {"udp", "tcp"}


async def test_an_alias_is_followed(zone: NameServer, resolver: DnsResolver) -> None:
    zone.alias("_tenantmesh.alias.test", "proof.elsewhere.test")
    zone.txt("proof.elsewhere.test", "text")
    assert await resolver.texts("_tenantmesh.alias.test") == Texts(("text",))
    zone.alias("_tenantmesh.dangling.test", "gone.elsewhere.test")
    assert isinstance(await resolver.texts("_tenantmesh.dangling.test"), NoRecords)


async def test_aliases_without_an_end_say_nothing_about_the_name(zone: NameServer, resolver: DnsResolver) -> None:
    for one, other in (("one", "other"), ("other", "one")):
        zone.alias(f"{one}.circle.test", f"{other}.circle.test")
    for link in range(40):
        zone.alias(f"a{link}.chain.test", f"a{link + 1}.chain.test")
    zone.txt("a40.chain.test", "text")
    for name in ("one.circle.test", "a0.chain.test"):
        assert not isinstance(await resolver.texts(name), Texts)
        assert not isinstance(await resolver.addresses(name), Addresses)
    assert await resolver.texts("a35.chain.test") == Texts(("text",))


async def test_the_longest_answer_that_there_can_be_is_read(zone: NameServer, resolver: DnsResolver) -> None:
    texts = [f"{number:03}" + "x" * 250 for number in range(240)]
    zone.txt("flood.test", *texts)
    found = await resolver.texts("flood.test")
    assert isinstance(found, Texts)
    assert len(found.texts) == 240


async def test_what_does_not_exist_is_known_not_to(zone: NameServer, resolver: DnsResolver) -> None:
    assert await resolver.texts("gone.test") == NoRecords("gone.test does not exist in the DNS.")
    zone.host("other.test", "8.8.8.8")
    assert await resolver.texts("other.test") == NoRecords("other.test has no TXT record.")
    zone.txt("texts.test", "text")
    assert await resolver.addresses("texts.test") == NoRecords("texts.test has no address in the DNS.")


@pytest.mark.parametrize("code", ["SERVFAIL", "REFUSED", "NOTIMP", "FORMERR"])
async def test_a_failing_server_says_nothing_about_the_name(zone: NameServer, resolver: DnsResolver, code: str) -> None:
    zone.fail(f"{code}.test", code)
    assert isinstance(await resolver.texts(f"{code}.test"), NoAnswer)
    assert isinstance(await resolver.addresses(f"{code}.test"), NoAnswer)


async def test_a_server_that_never_answers_is_not_waited_for(zone: NameServer) -> None:
    zone.fail("silent.test", SILENT)
    impatient = DnsResolver([("127.0.0.1", zone.port)], SHORT)
    async with asyncio.timeout(10):
        answer = await impatient.texts("silent.test")
    assert answer == NoAnswer("The DNS did not answer about silent.test in time.")


async def test_a_second_server_is_asked_when_the_first_is_away(zone: NameServer) -> None:
    zone.txt("second.test", "text")
    patient = DnsResolver([("127.0.0.1", free_port()), ("127.0.0.1", zone.port)], timedelta(seconds=10))
    assert await patient.texts("second.test") == Texts(("text",))


async def test_addresses_of_both_kinds_are_found(zone: NameServer, resolver: DnsResolver) -> None:
    zone.host("both.test", "8.8.8.8", "2606:4700::1111")
    found = await resolver.addresses("both.test")
    assert found == Addresses((ipaddress.ip_address("8.8.8.8"), ipaddress.ip_address("2606:4700::1111")))


async def test_names_are_not_completed_with_domains_of_the_machine(zone: NameServer, resolver: DnsResolver) -> None:
    await resolver.texts("plain.test")
    assert {name for name, _, _ in zone.asked if name.startswith("plain")} == {"plain.test"}
