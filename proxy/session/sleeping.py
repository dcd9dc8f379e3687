"""``SELECT pg_sleep(n)``.

The session itself waits, so that no backend of the catalog is held meanwhile; there the function is
revoked. The catalog only describes and returns the answer.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass

from proxy.errors import SessionError

_LONGEST_NAP = 600.0
_CALL = re.compile(
    r"""\s*select\s+(?:pg_catalog\s*\.\s*)?pg_sleep\s*
    \(\s*(?:(?P<seconds>-?(?:\d{1,20}(?:\.\d{0,20})?|\.\d{1,20})(?:e[+-]?\d{1,2})?)|\$1)\s*
    (?:::\s*(?:float8|double\s+precision)\s*)?\)
    (?:\s+as\s+(?P<alias>[a-z_]\w*))?\s*\Z""",
    re.IGNORECASE | re.VERBOSE | re.ASCII,
)


@dataclass(frozen=True, slots=True)
class SleepCall:
    """A call that the session carries out.

    Attributes:
        seconds: None for NULL, which does not wait.
        column: the name of its result, as it was written.
    """

    seconds: float | None
    column: str

    @property
    def answer(self) -> str:
        """A query that returns what pg_sleep returns: nothing in particular."""
        return f"SELECT {'NULL' if self.seconds is None else chr(39) * 2}::void AS {self.column}"


def sleep_call(text: str, values: Sequence[object]) -> SleepCall | None:
    """The call that a statement is, None where it is something else.

    Args:
        values: of its parameters.
    """
    match = _CALL.match(text)
    if match is None:
        return None
    column = match["alias"] or "pg_sleep"
    if match["seconds"]:
        return SleepCall(float(match["seconds"]), column)
    if len(values) != 1:
        return None
    seconds = values[0]
    if seconds is None:
        return SleepCall(None, column)
    return SleepCall(float(seconds), column) if isinstance(seconds, int | float) else None


async def sleep(seconds: float | None, timeout: float | None) -> None:
    """Wait; not a number and what is past do not, as in PostgreSQL.

    Args:
        timeout: the statement's, in seconds.

    Raises:
        SessionError: the statement took too long (57014).
    """
    if seconds is None or not seconds > 0:
        return
    clock = asyncio.get_running_loop().time
    end = clock() + seconds
    try:
        async with asyncio.timeout(timeout):
            while (left := end - clock()) > 0:
                await asyncio.sleep(min(left, _LONGEST_NAP))
    except TimeoutError:
        raise SessionError("57014", "canceling statement due to statement timeout") from None
