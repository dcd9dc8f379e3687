"""What a warehouse is told beside a statement: whose it is, and which of many it is.

Nothing of a statement's values is told: its fingerprint is the same whatever its literals are.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from urllib.parse import quote

PARTS = ("user", "cube", "statement")
"""What a data source may be configured to be told."""
_MOST_LETTERS = 120
_NUMBER = r"\b0x[0-9a-fA-F]+\b|(?<![\w$])\d+(?:\.\d+)?(?:[eE][+-]?\d+)?"
_LITERAL = {
    False: re.compile(rf"'(?:[^']|'')*'|{_NUMBER}"),
    True: re.compile(rf"'(?:[^'\\]|\\.|'')*'|{_NUMBER}", re.DOTALL),
}
"""By whether a backslash escapes what follows it."""


@dataclass(frozen=True, slots=True)
class Tag:
    """A statement, and on whose behalf it runs.

    Attributes:
        user: the login.
        cubes: whose tables it reads.
        sql: in the warehouse's dialect.
    """

    user: str
    cubes: tuple[str, ...]
    sql: str

    def fingerprint(self, *, backslashes: bool = False) -> str:
        """Equal for statements that differ by nothing but literals.

        Args:
            backslashes: whether a backslash escapes what follows it in the dialect's texts.
        """
        plain = _LITERAL[backslashes].sub("?", self.sql)
        return hashlib.sha256(plain.encode(errors="replace")).hexdigest()[:16]


_current: ContextVar[Tag | None] = ContextVar("tag", default=None)


def current_tag() -> Tag | None:
    """The tag of what is being begun, where it goes on in another thread."""
    return _current.get()


@contextmanager
def tagged(tag: Tag | None) -> Iterator[None]:
    """What is begun inside is that statement."""
    token = _current.set(tag)
    try:
        yield
    finally:
        _current.reset(token)


def check_parts(wanted: Sequence[str]) -> None:
    """Raises ValueError for parts that there are none of."""
    unknown = [part for part in wanted if part not in PARTS]
    if unknown:
        raise ValueError(f"tags may be {', '.join(PARTS)}, not {unknown[0]!r}")


def tag_parts(
    wanted: Sequence[str], application: str = "cubewire", *, backslashes: bool = False
) -> dict[str, str]:
    """The tag of the statement that is being begun, its parts by name, none of them long.

    Args:
        wanted: some of PARTS.
        application: what is always told.
        backslashes: see ``Tag.fingerprint``.
    """
    parts = {"application": application}
    tag = _current.get()
    if tag is not None:
        found = {"user": tag.user, "cube": ",".join(tag.cubes)}
        parts |= {name: found[name] for name in wanted if found.get(name)}
        if "statement" in wanted:
            parts["statement"] = tag.fingerprint(backslashes=backslashes)
    return {name: value[:_MOST_LETTERS] for name, value in parts.items()}


def label_text(value: str, allowed: str = "a-z0-9_-", most: int = 63) -> str:
    """A value of which nothing but some letters is left, as labels want it."""
    return re.sub(f"[^{allowed}]", "_", value)[:most]


def commented(sql: str, wanted: Sequence[str]) -> str:
    """A statement with its tag in a comment behind it, as sqlcommenter writes one."""
    parts = tag_parts(wanted)
    listed = ",".join(f"{name}='{quote(value, safe='')}'" for name, value in sorted(parts.items()))
    return f"{sql} /*{listed}*/"
