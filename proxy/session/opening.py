"""The settings a session starts with: the server's defaults and the startup packet's wishes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from proxy.auth.standing import Standing
from proxy.catalog.errors import CatalogError
from proxy.config import Config
from proxy.engine import Engine
from proxy.errors import SessionError, flatten
from proxy.queries import Caller
from proxy.scopes import Scope
from proxy.session.settings import Settings, canonical
from proxy.session.settings_rules import check_settings
from semantic.compiler.api import SessionSettings
from semantic.security.context import SecurityContext

_WORD = re.compile(r"(?:\\.|[^\s\\])+", re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Identity:
    """What the startup packet and the login say of a client.

    Attributes:
        security: who the login has proved to be.
        standing: what must stay true of that for the session to go on.
        parameters: the settings that the startup packet asks for.
        process_id: what BackendKeyData announces, with ``secret_key``.
    """

    security: SecurityContext
    standing: Standing
    database: str
    parameters: dict[str, str]
    process_id: int
    secret_key: bytes

    @property
    def user(self) -> str:
        """The login."""
        return self.security.login


async def starting_settings(
    engine: Engine, config: Config, newcomer: Identity, scope: Scope
) -> Settings:
    """The settings of a new session.

    What the startup packet asks for is validated by the catalog PostgreSQL, once per set of wishes.

    Raises SessionError of severity FATAL for an unknown setting or a wrong value.
    """
    defaults = {
        **engine.catalog.parameters,
        "session_authorization": newcomer.user,
        "is_superuser": "off",
    }
    settings = Settings(defaults)
    wishes = dict(newcomer.parameters)
    wishes.update(_options(wishes.pop("options", "")))
    plain = {canonical(name): value for name, value in wishes.items()}
    check_settings(plain, "FATAL")
    plain.pop("client_encoding", None)
    application = plain.pop("application_name", None)
    role = plain.pop("role", None)
    if plain:
        settings.startup.update(await _validated(engine, newcomer, scope, plain))
    if config.server.statement_timeout:
        timeout = str(round(config.server.statement_timeout * 1000))
        settings.startup.setdefault("statement_timeout", timeout)
    if role is not None:
        settings.startup["role"] = role
    if application is not None:
        settings.startup["application_name"] = _printable(application)
    return settings


async def _validated(
    engine: Engine, newcomer: Identity, scope: Scope, wishes: Mapping[str, str]
) -> dict[str, str]:
    caller = Caller(
        newcomer.user,
        newcomer.process_id,
        wishes,
        SessionSettings(newcomer.user, newcomer.database, access=scope.access),
        newcomer.security,
        scope,
    )
    try:
        return await engine.effective_settings(caller)
    except CatalogError as error:
        fields = flatten(error)
        raise SessionError(
            fields["C"], fields["M"], hint=fields.get("H"), severity="FATAL"
        ) from error


def _options(text: str) -> dict[str, str]:
    """``-c name=value`` and ``--name=value`` of the startup packet's ``options``.

    Words end at white space; only a backslash quotes, as in PostgreSQL.
    """
    found: dict[str, str] = {}
    words = (_ESCAPED.sub(r"\1", word) for word in _WORD.findall(text))
    for word in words:
        if word == "-c":
            assignment = next(words, "")
        elif word.startswith("-c") or word.startswith("--"):
            assignment = word[2:]
        else:
            raise SessionError(
                "42601",
                f"invalid command-line argument for server process: {word}",
                severity="FATAL",
            )
        name, equals, value = assignment.partition("=")
        if not equals:
            raise SessionError("42601", f"-c {assignment} requires a value", severity="FATAL")
        found[name.replace("-", "_")] = value
    return found


def _printable(text: str) -> str:
    """As PostgreSQL keeps application names: printable ASCII, at most 63 bytes."""
    kept = "".join(c if " " <= c <= "~" else "?" for c in text)
    return kept[:63]
