"""Numbers the lines of a trail and, on option, chains them so that a change shows.

A chained line ends in ``"prev"``, the code of the line before it, and ``"mac"``, its own: an
HMAC-SHA-256 over the line's bytes up to there. Who does not have the key can neither change, drop,
add nor reorder a line without the chain telling; cutting off the newest ones is told by the head
(``proxy.audit.head``). The chain runs on over rotated files and restarts.
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

GENESIS = "0" * 64
"""The code before the first line."""

Item = str | int | float | bool | None | Sequence[str]

_encode = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode
_SEALED = re.compile(r'(\{.*,"prev":"([0-9a-f]{64})"),"mac":"([0-9a-f]{64})"\}', re.ASCII)


def render(fields: Mapping[str, Item]) -> str:
    """One line of JSON without its end; fields without a value are left out.

    >>> render({"event": "login", "reason": None, "groups": ("a", "b")})
    '{"event":"login","groups":["a","b"]}'
    """
    return _encode({name: value for name, value in fields.items() if value is not None})


def code(key: bytes, body: str) -> str:
    """The code of a line, whose text up to ``"mac"`` is ``body``."""
    return hmac.digest(key, body.encode(), "sha256").hex()


@dataclass(frozen=True, slots=True)
class Sealed:
    """The parts of a chained line. ``body`` is its text up to ``"mac"``."""

    body: str
    previous: str
    mac: str


def open_seal(line: str) -> Sealed | None:
    """The parts of a line, None where it is not chained."""
    found = _SEALED.fullmatch(line)
    return None if found is None else Sealed(found[1], found[2], found[3])


@dataclass(slots=True)
class Chain:
    """Where a trail has come to.

    Attributes:
        key: makes the codes; None where lines are only numbered.
        sequence: the number of the last line.
        previous: the code of the last line.
    """

    key: bytes | None
    sequence: int = 0
    previous: str = GENESIS

    def seal(self, fields: Mapping[str, Item]) -> str:
        """The next line."""
        self.sequence += 1
        text = render({"seq": self.sequence, **fields})
        if self.key is None:
            return text
        body = f'{text[:-1]},"prev":"{self.previous}"'
        self.previous = code(self.key, body)
        return f'{body},"mac":"{self.previous}"}}'

    def resume(self, line: str) -> bool:
        """Go on after a line. False, and nothing done, where it is none of this chain."""
        try:
            sequence = json.loads(line)["seq"]
        except (ValueError, KeyError, TypeError):
            return False
        if not isinstance(sequence, int):
            return False
        if self.key is not None:
            sealed = open_seal(line)
            if sealed is None or not hmac.compare_digest(code(self.key, sealed.body), sealed.mac):
                return False
            self.previous = sealed.mac
        self.sequence = sequence
        return True
