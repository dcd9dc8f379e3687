"""The statements of ``statements.sql``, and texts of them that were never seen before."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from pathlib import Path

_NAMED = re.compile(r"^-- name: ([^\n]+)\n(.*?);\s*$", re.MULTILINE | re.DOTALL)
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Named:
    """A statement and what it is called in the report."""

    name: str
    sql: str

    def unseen(self) -> str:
        """The same statement as a text that no cache can know."""
        return f"{self.sql}\n/* {next(_numbers)} */"


def bi_statements() -> tuple[Named, ...]:
    """All of them, in order."""
    source = Path(__file__).with_suffix(".sql").read_text()
    return tuple(Named(found[1], found[2]) for found in _NAMED.finditer(source))
