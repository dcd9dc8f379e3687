"""From the name that a proof gives to the user that a client asked to be."""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from proxy.auth.patterns import LONGEST_NAME, PatternError, expression


@dataclass(frozen=True, slots=True)
class IdentityMap:
    """Which users somebody may log in as whom a token or certificate names.

    Attributes:
        pattern: the whole of the proved name; its first group is the user.
        allowed: users by proved name, which goes before the pattern. Without either, the name is
            the user's; with one of them, other names are nobody's.
    """

    pattern: re.Pattern[str] | None = None
    allowed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, pattern: str | None, allowed: Mapping[str, Sequence[str]]) -> IdentityMap:
        """Read what stands in the configuration.

        Raises:
            PatternError: the pattern is malformed, could take long, or has not one group.
        """
        compiled = None if pattern is None else expression(pattern)
        if compiled is not None and compiled.groups != 1:
            raise PatternError("user_pattern has exactly one group, which is the user's name")
        return cls(compiled, {name: tuple(users) for name, users in allowed.items()})

    def allows(self, proved: str, user: str) -> bool:
        """Whether the proof is one for this user."""
        if not proved or len(proved) > LONGEST_NAME:
            return False
        if proved in self.allowed:
            return user in self.allowed[proved]
        if self.pattern is None and not self.allowed:
            return hmac.compare_digest(proved.encode(), user.encode())
        found = self.pattern.fullmatch(proved) if self.pattern is not None else None
        return found is not None and bool(found[1]) and found[1] == user
