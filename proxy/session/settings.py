"""A session's settings (GUCs) with PostgreSQL's transactional life.

The catalog PostgreSQL validates a SET and gives the value its canonical text; this module only
remembers, so that any catalog backend can be given the same settings and a rollback restores them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

REPORTED = (
    "application_name",
    "client_encoding",
    "DateStyle",
    "default_transaction_read_only",
    "in_hot_standby",
    "integer_datetimes",
    "IntervalStyle",
    "is_superuser",
    "scram_iterations",
    "server_encoding",
    "server_version",
    "session_authorization",
    "standard_conforming_strings",
    "TimeZone",
)
"""The settings PostgreSQL reports with ParameterStatus (manual 55.2.7; guc_tables.c GUC_REPORT)."""

IDENTITY = ("role", "session_authorization")
"""Settings that say on whose behalf the session acts. Nothing but ``proxy.session.impersonation``
sets them; that a transaction takes them back is as with every other."""

NO_ROLE = "none"
"""What the setting ``role`` is where there is none."""

_CANONICAL = {name.lower(): name for name in REPORTED}


def canonical(name: str) -> str:
    """The spelling under which a setting is stored (``datestyle`` -> ``DateStyle``)."""
    lowered = name.lower()
    return _CANONICAL.get(lowered, lowered)


@dataclass(slots=True)
class _Level:
    session: dict[str, str]
    local: dict[str, str]


@dataclass(slots=True)
class Settings:
    """The overlay of one session over the server's defaults.

    Attributes:
        defaults: values of a fresh session, by canonical name.
        startup: what the startup packet asked for: what RESET goes back to.
        session: values set for the session (over ``startup``).
        local: values set until the end of the transaction (over ``session``).
        version: grows whenever a value may have changed.
    """

    defaults: Mapping[str, str]
    startup: dict[str, str] = field(default_factory=dict)
    session: dict[str, str] = field(default_factory=dict)
    local: dict[str, str] = field(default_factory=dict)
    version: int = 0
    _saved: list[_Level] = field(default_factory=list)

    def effective(self) -> dict[str, str]:
        """The overlay a catalog backend must have: every value that differs from a fresh one.

        The session's user is who logs in there, not a setting.
        """
        found = {**self.startup, **self.session, **self.local}
        found.pop("session_authorization", None)
        return found

    def get(self, name: str) -> str | None:
        """The value now in force, None where the server never learned one."""
        key = canonical(name)
        for layer in (self.local, self.session, self.startup):
            if key in layer:
                return layer[key]
        return self.defaults.get(key)

    def set(self, name: str, value: str, *, local: bool) -> None:
        """Remember a value the catalog has accepted."""
        self.version += 1
        key = canonical(name)
        if local:
            self.local[key] = value
        else:
            self.local.pop(key, None)
            self.session[key] = value

    def reset(self, name: str) -> None:
        """Go back to the value the session started with."""
        self.version += 1
        key = canonical(name)
        self.local.pop(key, None)
        self.session.pop(key, None)

    def reset_all(self) -> None:
        """RESET ALL, which leaves the identity as it is."""
        self.version += 1
        for layer in (self.local, self.session):
            for name in [name for name in layer if name not in IDENTITY]:
                del layer[name]

    def forget_all(self) -> None:
        """DISCARD ALL: as the session began."""
        self.version += 1
        self.local.clear()
        self.session.clear()

    def save(self) -> None:
        """Open a level: the start of a transaction, or a savepoint."""
        self._saved.append(_Level(dict(self.session), dict(self.local)))

    def depth(self) -> int:
        """How many levels are open."""
        return len(self._saved)

    def restore(self, depth: int) -> None:
        """Undo everything since level ``depth`` was opened, and close it and those above."""
        level = self._saved[depth]
        self.version += (level.session, level.local) != (self.session, self.local)
        self.session, self.local = level.session, level.local
        del self._saved[depth:]

    def release(self, depth: int) -> None:
        """Keep what was set since level ``depth`` was opened; at depth 0, SET LOCAL ends."""
        del self._saved[depth:]
        if depth == 0 and self.local:
            self.local = {}
            self.version += 1

    def adopt(self, after: Mapping[str, str], *, local: bool) -> None:
        """Take over the values a catalog backend has after running a SET in these settings."""
        before = {name: value for name, value in self.effective().items() if name not in IDENTITY}
        after = {name: value for name, value in after.items() if canonical(name) not in IDENTITY}
        for name, value in after.items():
            if before.get(canonical(name)) != value:
                self.set(name, value, local=local)
        known = {canonical(name) for name in after}
        for name in before:
            if name not in known and "." not in name:
                self.reset(name)

    def reported(self) -> dict[str, str]:
        """Current values of the settings reported to the client."""
        return {name: value for name in REPORTED if (value := self.get(name)) is not None}
