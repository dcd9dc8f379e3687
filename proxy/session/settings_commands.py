"""SET, RESET, SHOW and DISCARD.

The catalog PostgreSQL carries out every SET, in a backend that has the session's settings, so that
names, values and errors are its own; the session keeps the outcome.
"""

from __future__ import annotations

from collections.abc import Mapping

from proxy.engine import Engine
from proxy.errors import SessionError
from proxy.queries import CACHE, CatalogQuery, text_field
from proxy.session.impersonation import Impersonation
from proxy.session.portal import Portal
from proxy.session.prepared import PreparedStatement
from proxy.session.reader import RowReader
from proxy.session.results import Done, Rows
from proxy.session.settings import IDENTITY, NO_ROLE
from proxy.session.settings_rules import (
    MAX_STALENESS,
    MEASURE_AGGREGATES,
    MODEL_VERSION,
    ROLLUPS,
    check_settings,
)
from proxy.session.state import SessionState
from proxy.session.transaction_commands import mode_settings
from proxy.sources import StaticSource
from semantic.compiler import statements as sql

_TRANSACTION_SETTINGS = frozenset(
    ("transaction_isolation", "transaction_read_only", "transaction_deferrable")
)


class SettingsCommands:
    """The statements of one session that read and change its settings."""

    def __init__(self, engine: Engine, state: SessionState, impersonation: Impersonation) -> None:
        self._engine = engine
        self._state = state
        self._impersonation = impersonation

    def observe(self, inside: Mapping[str, str], after: Mapping[str, str]) -> None:
        """A catalog statement has called set_config: take over what it changed.

        What does not outlive the statement's own transaction lasts for the session's.
        """
        check_settings(inside)
        settings = self._state.settings
        if inside.get("role", NO_ROLE) not in (NO_ROLE, settings.get("role")):
            raise SessionError("0A000", "set_config() cannot change the role", hint="Use SET ROLE.")
        settings.adopt(after, local=False)
        for name, value in inside.items():
            if settings.get(name) != value:
                settings.set(name, value, local=True)

    async def prepare_show(self, text: str, statement: sql.Show) -> PreparedStatement:
        """SHOW and its column."""
        if self._own_value(statement.name) is not None:
            return PreparedStatement(text, statement, fields=(text_field(statement.name),))
        query = await self._engine.prepare_catalog(text, (), self._state.caller())
        return PreparedStatement(text, statement, (), query.fields, query)

    async def run(self, statement: sql.Set | sql.SetTransaction | sql.Reset | sql.Discard) -> Done:
        """Carry one out."""
        if isinstance(statement, sql.Set):
            await self._set(statement)
            return Done("SET")
        if isinstance(statement, sql.SetTransaction):
            await self._set_transaction(statement)
            return Done("SET")
        if isinstance(statement, sql.Reset):
            await self._reset(statement)
            return Done("RESET")
        return await self._discard(statement)

    async def show(self, portal: Portal, statement: sql.Show) -> Rows:
        """SHOW: the transaction's own modes from us, the rest from the catalog."""
        value = self._own_value(statement.name)
        if value is not None:
            source = StaticSource([(value,)])
            return Rows(RowReader(source), (text_field(statement.name),), "SHOW", counted=False)
        query = portal.prepared.query
        text = query.sql if isinstance(query, CatalogQuery) else portal.prepared.text
        opened = await self._engine.open_catalog(
            text, self._state.caller(), result_formats=portal.result_formats
        )
        fields = opened.result.fields or ()
        return Rows(RowReader(opened), fields, "SHOW", counted=False)

    def _own_value(self, name: str) -> str | None:
        """The value of a setting that the session alone knows.

        These are the modes of its transaction, which no backend has begun, and placeholders, which
        no backend lists.
        """
        if name == MEASURE_AGGREGATES:
            return self._state.caller().semantic.measure_aggregates
        if name == CACHE:
            return self._state.caller().cache
        if name == ROLLUPS:
            return self._state.caller().rollup_choice.mode
        if name == MODEL_VERSION:
            return self._state.scope.generation.model.version
        if name == MAX_STALENESS:
            return self._state.settings.get(name) or ""
        if name in _TRANSACTION_SETTINGS:
            return self._state.transaction.modes.get(name)
        if name == "role":
            return self._state.settings.get(name) or NO_ROLE
        if name == "session_authorization":
            return self._state.settings.get(name)
        return self._state.settings.get(name) if "." in name else None

    async def _set(self, statement: sql.Set) -> None:
        if statement.name in _TRANSACTION_SETTINGS and statement.value_text is not None:
            self._state.transaction.modes[statement.name] = statement.value_text
            return
        if statement.local and not self._state.transaction.in_block and not self._state.several:
            self._warn_outside("SET LOCAL")
        if statement.name in IDENTITY:
            if statement.value_text is None:
                await self._impersonation.reset(statement.name)
            else:
                await self._impersonation.set(
                    statement.name, statement.value_text, local=statement.local
                )
            return
        after = await self._engine.apply_setting(
            statement.text, self._state.caller(), local=statement.local
        )
        if "." in statement.name and statement.value_text is not None:
            # PostgreSQL does not list placeholders, the settings that no module has defined.
            after = {**after, statement.name: statement.value_text}
        check_settings(after)
        self._state.settings.adopt(after, local=statement.local)

    async def _set_transaction(self, statement: sql.SetTransaction) -> None:
        if statement.snapshot is not None:
            raise SessionError("0A000", "SET TRANSACTION SNAPSHOT is not supported")
        if statement.session_characteristics:
            after = await self._engine.apply_setting(
                statement.text, self._state.caller(), local=False
            )
            self._state.settings.adopt(after, local=False)
            return
        if not self._state.transaction.in_block and not self._state.several:
            self._warn_outside("SET TRANSACTION")
            return
        if statement.options.isolation is not None and self._state.transaction.queried:
            raise SessionError(
                "25001", "SET TRANSACTION ISOLATION LEVEL must be called before any query"
            )
        self._state.transaction.modes.update(mode_settings(statement.options))

    async def _reset(self, statement: sql.Reset) -> None:
        settings = self._state.settings
        if statement.name is None:
            settings.reset_all()
            return
        if statement.name in IDENTITY:
            await self._impersonation.reset(statement.name)
            return
        # An unknown name is an error; a known one goes back to what the session started with.
        await self._engine.apply_setting(
            f"RESET {_quoted(statement.name)}", self._state.caller(), local=False
        )
        if "." in statement.name and settings.get(statement.name) is not None:
            settings.set(statement.name, "", local=False)
        else:
            settings.reset(statement.name)

    async def _discard(self, statement: sql.Discard) -> Done:
        state = self._state
        if statement.what == "ALL":
            if state.transaction.in_block or state.several:
                raise SessionError("25001", "DISCARD ALL cannot run inside a transaction block")
            for name in list(state.portals):
                await state.drop_portal(name)
            state.statements.clear()
            state.temporary.close()
            await self._impersonation.reset("session_authorization")
            state.settings.forget_all()
        elif statement.what == "TEMP":
            await state.temporary.discard()
        return Done(f"DISCARD {statement.what}")

    def _warn_outside(self, command: str) -> None:
        self._state.warn("25P01", f"{command} can only be used in transaction blocks")


def _quoted(name: str) -> str:
    return ".".join('"' + part.replace('"', '""') + '"' for part in name.split("."))
