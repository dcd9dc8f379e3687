"""Method ``ldap``: a directory decides about a password, by a bind (RFC 4513) inside TLS.

Imported only where a rule asks for it, since ldap3 is an extra.
"""

from __future__ import annotations

import math
import secrets
import ssl
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from proxy.auth.bulkhead import Bulkhead, Unavailable
from proxy.auth.grants import Grants, GrantsError
from proxy.auth.method import LoginMethod, Parts, Refused
from proxy.auth.plain import PasswordMethod
from proxy.auth.request import LoginRequest
from proxy.config.rules import LdapRule

with warnings.catch_warnings():
    # ldap3 asks pyasn1 for names that have been renamed there.
    warnings.simplefilter("ignore", DeprecationWarning)
    import ldap3
    from ldap3.core.exceptions import LDAPException

_SUCCESS, _INVALID_CREDENTIALS, _NO_SUCH_OBJECT = 0, 49, 32
_PORTS = {"ldap": 389, "ldaps": 636}
_NO_ATTRIBUTES = ("1.1",)
"""RFC 4511, section 4.5.1.8."""


@dataclass(frozen=True, slots=True)
class Directory:
    """Where the directory is and how to find a user in it.

    Attributes:
        urls: ``ldap://`` or ``ldaps://``; the next is asked where one cannot be reached.
        start_tls: encrypt an ``ldap://`` connection before anything is said.
        seconds: for each step.
        bind_dn: DN with ``{user}`` in it; None where users are searched for.
        search_base, search_filter: where a user is, ``{user}`` in the filter.
        search_dn, search_password: who searches; anonymous without.
        group_base, group_filter, group_attribute: the groups are this attribute of the entries that
            the filter finds, with ``{dn}`` and ``{user}`` in it; no groups without a base.
        attributes: attribute of the user's entry by ours.
        tenant_attribute: attribute of the user's entry.
    """

    urls: Sequence[str]
    tls: ssl.SSLContext | None = field(repr=False)
    start_tls: bool = False
    seconds: float = 5.0
    bind_dn: str | None = None
    search_base: str = ""
    search_filter: str = ""
    search_dn: str | None = None
    search_password: str | None = field(default=None, repr=False)
    group_base: str | None = None
    group_filter: str = ""
    group_attribute: str = "cn"
    attributes: Mapping[str, str] = field(default_factory=dict)
    tenant_attribute: str | None = None


@dataclass(frozen=True, slots=True)
class Ldap:
    """Binds as whoever wants to log in."""

    directory: Directory
    bulkhead: Bulkhead
    name: str = "ldap"

    async def check(self, request: LoginRequest, password: str) -> Grants:
        """See PasswordChecker."""
        try:
            return await self.bulkhead.run(self._check, request.user, password)
        except Unavailable as error:
            raise Refused(str(error), counts=False) from None

    async def close(self) -> None:
        """See PasswordChecker."""
        self.bulkhead.close()

    def _check(self, user: str, password: str) -> Grants:
        if not password:
            # RFC 4513, section 5.1.2: a DN without a password binds as nobody, and succeeds.
            raise Refused("empty password")
        try:
            return self._identified(user, password)
        except Refused:
            raise
        except GrantsError as error:
            raise Refused(f"directory: {error}", counts=False) from None
        except Exception as error:  # noqa: BLE001 - whatever a directory answers, nobody gets in
            # Not its text, which may quote what was sent.
            raise Refused(f"directory: {type(error).__name__}", counts=False) from None

    def _identified(self, user: str, password: str) -> Grants:
        place = self.directory
        if place.bind_dn is not None:
            dn = place.bind_dn.replace("{user}", escape_dn(user))
        else:
            found = self._found(user)
            # Somebody unknown costs a bind too, so that the time tells nothing.
            dn = found or f"cn={secrets.token_hex(8)},{place.search_base}"
            if found is None:
                _close(self._bound(dn, password))
                raise Refused("no such user in the directory")
        connection = self._bound(dn, password)
        try:
            if place.search_dn is None:
                return self._grants(connection, dn, user)
        finally:
            _close(connection)
        # Who may log in need not be allowed to read groups.
        connection = self._bound(place.search_dn, place.search_password, own=True)
        try:
            return self._grants(connection, dn, user)
        finally:
            _close(connection)

    def _found(self, user: str) -> str | None:
        """The one entry that a user's name finds; None where it finds none, or several."""
        place = self.directory
        connection = self._bound(place.search_dn, place.search_password, own=True)
        try:
            wanted = place.search_filter.replace("{user}", escape_filter(user))
            entries = _search(connection, place.search_base, wanted, _NO_ATTRIBUTES)
        finally:
            _close(connection)
        return str(entries[0]["dn"]) if len(entries) == 1 else None

    def _grants(self, connection: Any, dn: str, user: str) -> Grants:
        place = self.directory
        said: dict[str, object] = {}
        if place.attributes or place.tenant_attribute is not None:
            said |= self._of_entry(connection, dn)
        if place.group_base is not None:
            where = place.group_filter.replace("{dn}", escape_filter(dn))
            where = where.replace("{user}", escape_filter(user))
            entries = _search(connection, place.group_base, where, [place.group_attribute])
            groups: list[object] = []
            for entry in entries:
                name = _value(entry["attributes"].get(place.group_attribute))
                groups += name if isinstance(name, list) else [name]
            said["groups"] = groups
        return Grants.read(said)

    def _of_entry(self, connection: Any, dn: str) -> dict[str, object]:
        """What the user's own entry says."""
        place = self.directory
        wanted = dict(place.attributes)
        names = set(wanted.values())
        if place.tenant_attribute is not None:
            names.add(place.tenant_attribute)
        entries = _search(connection, dn, "(objectClass=*)", sorted(names), ldap3.BASE)
        values = entries[0]["attributes"] if entries else {}
        found = {ours: _value(values.get(theirs)) for ours, theirs in wanted.items()}
        said: dict[str, object] = {
            "attributes": {name: value for name, value in found.items() if value is not None}
        }
        if place.tenant_attribute is not None:
            said["tenant"] = _value(values.get(place.tenant_attribute))
            if said["tenant"] is None:
                raise GrantsError("the user has no tenant")
        return said

    def _bound(self, dn: str | None, password: str | None, *, own: bool = False) -> Any:
        """A connection on which somebody has proved to be the DN's owner.

        Args:
            dn: None for nobody.
            password: of it.
            own: it is this server itself, whose wrong password is not the client's fault.
        """
        connection = self._connected(dn, password)
        bound = False
        try:
            bound = bool(connection.bind())
        finally:
            if not bound:
                _close(connection)
        if not bound:
            code = connection.result["result"]
            wrong = code in (_INVALID_CREDENTIALS, _NO_SUCH_OBJECT) and not own
            raise Refused(f"bind failed with result {code}", counts=wrong)
        return connection

    def _connected(self, dn: str | None, password: str | None) -> Any:
        """A connection to the first server that can be reached; encrypted, where it must be."""
        failure: LDAPException | OSError = OSError("no servers")
        for url in self.directory.urls:
            connection = ldap3.Connection(
                _server(self.directory, url),
                user=dn,
                password=password,
                authentication=ldap3.ANONYMOUS if dn is None else ldap3.SIMPLE,
                receive_timeout=math.ceil(self.directory.seconds),
                auto_referrals=False,
                check_names=False,
                read_only=True,
            )
            try:
                connection.open(read_server_info=False)
                if self.directory.start_tls and urlsplit(url).scheme == "ldap":
                    connection.start_tls(read_server_info=False)
            except (LDAPException, OSError) as error:
                failure = error
                _close(connection)
                continue
            return connection
        raise failure


class _Tls(ldap3.Tls):  # type: ignore[misc]
    """TLS as Python's own ``ssl`` does it, names of certificates and all."""

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__()
        self._context = context

    def wrap_socket(self, connection: Any, do_handshake: bool = False) -> None:
        """See ldap3."""
        del do_handshake
        connection.socket = self._context.wrap_socket(
            connection.socket, server_hostname=connection.server.host
        )


def open_tls(ca: Path | None) -> ssl.SSLContext:
    """What the directory's certificate is held against.

    Raises:
        OSError: the file cannot be read.
    """
    return ssl.create_default_context(cafile=ca)


def escape_dn(text: str) -> str:
    r"""A value inside a DN (RFC 4514): all but letters and digits as ``\hh``.

    >>> escape_dn("a,b=c")
    'a\\2Cb\\3Dc'
    """
    return "".join(
        each if each.isascii() and each.isalnum() else _hexed(each, "\\{:02X}") for each in text
    )


def escape_filter(text: str) -> str:
    r"""A value inside a filter (RFC 4515): all but letters and digits as ``\hh``.

    >>> escape_filter("*)(uid=*")
    '\\2a\\29\\28uid\\3d\\2a'
    """
    return "".join(
        each if each.isascii() and each.isalnum() else _hexed(each, "\\{:02x}") for each in text
    )


def _hexed(char: str, form: str) -> str:
    return "".join(form.format(byte) for byte in char.encode())


def _server(directory: Directory, url: str) -> Any:
    parts = urlsplit(url)
    return ldap3.Server(
        parts.hostname,
        port=parts.port or _PORTS[parts.scheme],
        use_ssl=parts.scheme == "ldaps",
        tls=_Tls(directory.tls) if directory.tls is not None else None,
        get_info=ldap3.NONE,
        connect_timeout=directory.seconds,
    )


def _close(connection: Any) -> None:
    """End a connection in whatever state it is."""
    sock = connection.socket
    with suppress(LDAPException, OSError):
        connection.unbind()
    with suppress(OSError):
        if sock is not None:
            sock.close()


def _search(
    connection: Any, base: str, wanted: str, attributes: Sequence[str], scope: str = ldap3.SUBTREE
) -> list[dict[str, Any]]:
    """All entries that a filter finds; a part of them is no answer."""
    connection.search(base, wanted, search_scope=scope, attributes=list(attributes))
    if connection.result["result"] != _SUCCESS:
        raise Refused(f"search failed with result {connection.result['result']}", counts=False)
    entries: list[dict[str, Any]] = connection.response or []
    return [each for each in entries if each["type"] == "searchResEntry"]


def _value(value: object) -> object:
    """An attribute's value: one as it is, several as a list; None for none."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, list | tuple):
        values = [_value(each) for each in value]
        return None if not values else values[0] if len(values) == 1 else values
    return value


def open_method(rule: LdapRule, parts: Parts) -> LoginMethod:
    """See MethodModule."""
    del parts
    password = rule.search_password
    directory = Directory(
        urls=rule.url,
        tls=open_tls(rule.ca),
        start_tls=rule.start_tls,
        seconds=rule.timeout,
        bind_dn=rule.bind_dn,
        search_base=rule.search_base or "",
        search_filter=rule.search_filter,
        search_dn=rule.search_dn,
        search_password=None if password is None else password.get_secret_value(),
        group_base=rule.group_base,
        group_filter=rule.group_filter,
        group_attribute=rule.group_attribute,
        attributes=rule.attribute_map,
        tenant_attribute=rule.tenant_attribute,
    )
    # A login has several steps; each has its time, and all together have twice that.
    bulkhead = Bulkhead("directory", threads=rule.concurrency, seconds=2 * rule.timeout)
    return PasswordMethod(Ldap(directory, bulkhead))
