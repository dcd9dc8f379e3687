"""Directories: what is asked of real LDAP servers, and what their answers are worth."""

from __future__ import annotations

import asyncio
import dataclasses
import doctest
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from proxy.auth.bulkhead import Bulkhead
from proxy.auth.grants import Grants
from proxy.auth.method import Refused
from proxy.auth.methods import ldap
from proxy.auth.methods.ldap import Directory, Ldap, escape_dn, escape_filter
from proxy.auth.request import LoginRequest
from tests.auth.authority import Authority
from tests.auth.directories import (
    BASE,
    GROUPS,
    INSTALLED,
    PEOPLE,
    READER,
    READER_PASSWORD,
    RunningDirectory,
    ldaptor,
    slapd,
)

OPENLDAP = pytest.param(
    slapd,
    marks=pytest.mark.skipif(not INSTALLED, reason="OpenLDAP's slapd is not installed"),
    id="slapd",
)


@pytest.fixture(scope="module", params=[OPENLDAP, pytest.param(ldaptor, id="ldaptor")])
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningDirectory]:
    authority = Authority(tmp_path_factory.mktemp("authority"), "Authority")
    with request.param(tmp_path_factory.mktemp("directory"), authority) as found:
        yield found


def by_name(running: RunningDirectory, **options: Any) -> Directory:
    made = Directory(
        (running.encrypted,),
        ldap.open_tls(running.ca),
        bind_dn=f"uid={{user}},{PEOPLE}",
        attributes={"region": "l", "missing": "title"},
        tenant_attribute="o",
    )
    return dataclasses.replace(made, **options)


def by_search(running: RunningDirectory, **options: Any) -> Directory:
    searching = {
        "bind_dn": None,
        "search_base": BASE,
        "search_filter": "(uid={user})",
        "search_dn": READER,
        "search_password": READER_PASSWORD,
        "group_base": GROUPS,
        "group_filter": "(member={dn})",
    }
    return by_name(running, **{**searching, **options})


def check(place: Directory, user: str, password: str) -> Grants:
    async def run() -> Grants:
        method = Ldap(place, Bulkhead("directory", threads=2, seconds=6))
        try:
            return await method.check(LoginRequest(user, encrypted=True), password)
        finally:
            await method.close()

    return asyncio.run(run())


def refusal(place: Directory, user: str, password: str) -> Refused:
    with pytest.raises(Refused) as caught:
        check(place, user, password)
    assert password not in caught.value.reason or not password
    return caught.value


def test_bind(running: RunningDirectory) -> None:
    grants = check(by_name(running), "anna", "annas")
    assert (grants.groups, grants.tenant) == (frozenset(), "acme")
    assert dict(grants.attributes.items) == {"region": "north"}
    wrong = refusal(by_name(running), "anna", "wrong")
    unknown = refusal(by_name(running), "nobody", "wrong")
    assert (wrong.reason, wrong.counts) == (unknown.reason, unknown.counts)
    assert wrong.counts


def test_search_then_bind(running: RunningDirectory) -> None:
    place = by_search(running)
    assert check(place, "anna", "annas").groups == {"analysts", "everybody"}
    strange = check(place, "o,dd (x)*", "strange")
    assert strange.groups == ({"strangers", "everybody"} if running.sound else set())
    assert check(by_name(running), "o,dd (x)*", "strange").tenant == "acme"
    assert refusal(place, "anna", "wrong").counts
    assert refusal(place, "nobody", "x").counts
    # Whom a name finds twice, it does not find.
    assert refusal(place, "twin", "twins").reason == refusal(place, "nobody", "x").reason


@pytest.mark.parametrize(
    "user",
    [
        "*",
        "a*",
        "anna)(uid=*",
        "nobody)(|(uid=anna)",
        "*)(objectClass=*",
        "anna\0",
        "bert,ou=people,dc=example,dc=org\0",
        "anna,ou=people,dc=example,dc=org+uid=x",
        f"anna,{PEOPLE}",
        "anna+sn=anna",
        "\\61nna",
        "{dn}",
        "{user}",
    ],
)
def test_injection(running: RunningDirectory, user: str) -> None:
    """A name is a value and nothing else, in filters and in DNs."""
    for place in (by_name(running), by_search(running)):
        assert refusal(place, user, "annas").counts


def test_a_password_that_is_none_is_no_password(running: RunningDirectory) -> None:
    """This server takes a DN without a password for nobody, and lets it in."""
    for place in (by_name(running), by_search(running)):
        assert refusal(place, "anna", "").reason == "empty password"


def test_encryption(running: RunningDirectory, tmp_path: Path) -> None:
    other = ldap.open_tls(Authority(tmp_path, "Authority").file)
    assert not refusal(by_name(running, tls=other), "anna", "annas").counts
    if running.plain is not None:
        started = by_name(running, urls=(running.plain,), start_tls=True)
        assert check(started, "anna", "annas").tenant == "acme"
        strange = dataclasses.replace(started, tls=other)
        assert not refusal(strange, "anna", "annas").counts
    # A name that the certificate is not for.
    elsewhere = running.encrypted.replace("127.0.0.1", "127.0.0.2")
    assert not refusal(by_name(running, urls=(elsewhere,)), "anna", "annas").counts


def test_servers_are_tried_in_order(running: RunningDirectory) -> None:
    urls = ("ldaps://127.0.0.1:1", running.encrypted)
    assert check(by_name(running, urls=urls), "anna", "annas").tenant == "acme"


@pytest.mark.parametrize(
    "options",
    [
        {"urls": ("ldaps://127.0.0.1:1",)},
        {"search_password": "wrong"},
        {"search_base": "dc=elsewhere"},
        {"group_base": "ou=none,dc=example,dc=org"},
        {"tenant_attribute": "title"},
        {"group_filter": "(member={dn}"},
    ],
)
def test_no_answer_lets_nobody_in_and_counts_for_nobody(
    running: RunningDirectory, options: dict[str, Any]
) -> None:
    assert not refusal(by_search(running, **options), "anna", "annas").counts


async def test_a_silent_directory_keeps_nobody_waiting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"ldap://127.0.0.1:{silent.getsockname()[1]}"
        method = Ldap(
            Directory((url,), None, seconds=1.0, bind_dn="uid={user}"),
            Bulkhead("directory", threads=2, seconds=60),
        )
        started = time.monotonic()
        with pytest.raises(Refused) as caught:
            await method.check(LoginRequest("anna", encrypted=True), "annas")
        await method.close()
    assert not caught.value.counts
    assert time.monotonic() - started < 30


def test_escapes() -> None:
    assert doctest.testmod(ldap).failed == 0
    assert escape_dn(" \N{GREEK SMALL LETTER ALPHA}#") == "\\20\\CE\\B1\\23"
    assert escape_filter("a\0b") == "a\\00b"
