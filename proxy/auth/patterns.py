"""Whom a rule of ``auth.rules`` is for: names, regular expressions and networks.

Everything here runs before a client has said who it is, so no pattern may cost more than the length
of what it is held against.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass

ALL = "all"
LONGEST_NAME = 128
"""Characters of a user or database that any rule is for."""

_REPEATS = frozenset("*+{")
_MOST_REPEATS = 3
"""Repeats of an expression: each multiplies its cost by the length of the name."""
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class PatternError(ValueError):
    """A name, pattern or network of a rule that cannot be used."""


@dataclass(frozen=True, slots=True)
class NamePattern:
    """Names as a rule gives them: ``all``, a name, or ``/a regular expression/``.

    Attributes:
        names: taken literally; None for all.
        expressions: each must describe the whole name.
    """

    names: frozenset[str] | None
    expressions: tuple[re.Pattern[str], ...] = ()

    @classmethod
    def of(cls, texts: Sequence[str]) -> NamePattern:
        """Read what stands in the configuration.

        Raises:
            PatternError: an expression is malformed or could take long.
        """
        if ALL in texts:
            return cls(None)
        plain = frozenset(text for text in texts if not _is_expression(text))
        found = tuple(expression(text[1:-1]) for text in texts if _is_expression(text))
        return cls(plain, found)

    def matches(self, name: str) -> bool:
        """Whether the name is one of these."""
        if self.names is None or name in self.names:
            return True
        return any(each.fullmatch(name) for each in self.expressions)


@dataclass(frozen=True, slots=True)
class AddressPattern:
    """Networks that a client's address is in; None for all."""

    networks: tuple[_Network, ...] | None

    @classmethod
    def of(cls, texts: Sequence[str]) -> AddressPattern:
        """Read addresses and networks in CIDR notation.

        Raises:
            PatternError: one is neither, or has bits set behind its mask.
        """
        if ALL in texts:
            return cls(None)
        try:
            return cls(tuple(ipaddress.ip_network(text) for text in texts))
        except ValueError as error:
            raise PatternError(f"an address is all, an IP address or a CIDR: {error}") from None

    def matches(self, address: str) -> bool:
        """Whether the address is in one of the networks; what is no IP address is in none."""
        if self.networks is None:
            return True
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
            parsed = parsed.ipv4_mapped
        return any(parsed in network for network in self.networks)

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine is in it."""
        return self.networks is not None and all(each.is_loopback for each in self.networks)


def expression(text: str) -> re.Pattern[str]:
    """Compile an operator's regular expression that clients' names will be held against.

    Raises:
        PatternError: it is malformed, or could take long: a repeated group in it repeats or
            chooses, which can take exponential time, or it has more than three repeats.
    """
    nested, repeats = _cost(text)
    if nested:
        raise PatternError(
            f"/{text}/ repeats a group that itself repeats or has alternatives, "
            "which can take exponential time"
        )
    if repeats > _MOST_REPEATS:
        raise PatternError(f"/{text}/ has more than {_MOST_REPEATS} of * + {{ }}")
    try:
        return re.compile(text)
    except re.error as error:
        raise PatternError(f"/{text}/ is no regular expression: {error}") from None


def is_loopback(host: str) -> bool:
    """Whether nobody outside this machine can connect to the address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_expression(text: str) -> bool:
    return len(text) > 2 and text[0] == text[-1] == "/"


def _cost(text: str) -> tuple[bool, int]:
    """Whether a group that repeats or chooses is itself repeated, and the number of repeats."""
    groups, nested, repeats = [False], False, 0
    index = 0
    while index < len(text):
        char = text[index]
        if char == "\\":
            index += 1
        elif char == "[":
            index = _end_of_class(text, index)
        elif char == "(":
            groups.append(False)
            index += text[index + 1 : index + 2] == "?"
        elif char == ")" and len(groups) > 1:
            risky = groups.pop()
            nested |= risky and text[index + 1 : index + 2] in _REPEATS
            groups[-1] |= risky
        elif char in _REPEATS or char in "?|":
            groups[-1] = True
            repeats += char in _REPEATS
        index += 1
    return nested, repeats


def _end_of_class(text: str, start: int) -> int:
    """The place of the bracket that closes the class opened at a place."""
    # A bracket right behind the opening one (or behind ^) is a member of the class.
    index = start + (2 if text[start + 1 : start + 2] == "^" else 1)
    first = index
    while index < len(text) and (text[index] != "]" or index == first):
        index += 2 if text[index] == "\\" else 1
    return index
