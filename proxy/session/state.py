"""The state of one session: who it is, its settings, its named statements and portals."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Literal, cast

from proxy.cache.results import Mode
from proxy.errors import SessionError, error_fields
from proxy.observability.stages import CURRENT
from proxy.queries import CACHE, Caller
from proxy.rollups.duration import parse_seconds
from proxy.rollups.view import Mode as RollupMode
from proxy.rollups.view import RollupChoice
from proxy.scopes import Scope
from proxy.served import ServedScopes
from proxy.session.cursor import Cursor, KeptRows
from proxy.session.portal import Portal
from proxy.session.prepared import PreparedStatement
from proxy.session.records import StatementRecorder, StatementTimer
from proxy.session.settings import Settings
from proxy.session.settings_rules import MAX_STALENESS, MEASURE_AGGREGATES, ROLLUPS
from proxy.session.temporary import TemporaryLimits, TemporaryTables
from proxy.session.transaction import Transaction
from semantic.compiler.api import SessionSettings
from semantic.security.context import SecurityContext


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """What one session may hold; each is named in the error that it raises."""

    max_prepared_statements: int
    max_portals: int
    max_cursor_bytes: int
    temporary: TemporaryLimits


@dataclass(slots=True, eq=False)
class SessionState:
    """Everything a session remembers between messages.

    Attributes:
        process_id: what BackendKeyData announced.
        security: on whose behalf it acts; changed by ``assume`` alone.
        scope: what exists for them.
        scopes: tells the scope of others.
        database: the database of the startup packet.
        version: what ``version()`` says.
        serial: of the model that ``scope`` is of.
        offset: characters before the statement at hand in the client's text, for error positions.
        several: the Query message at hand holds several statements.
        running: the statement at hand.
        cancel_reason: whose request to cancel it was, where one is pending.
        prepared: the one that was prepared last and has not been run.
        unnamed_described: the client knows the columns of the unnamed prepared statement.
    """

    process_id: int
    security: SecurityContext
    scope: Scope
    scopes: ServedScopes
    database: str
    settings: Settings
    limits: SessionLimits
    recorder: StatementRecorder
    measure_aggregates: str = "strict"
    version: str = ""
    serial: int = -1
    transaction: Transaction = field(init=False)
    kept: KeptRows = field(init=False)
    temporary: TemporaryTables = field(init=False)
    statements: dict[str, PreparedStatement] = field(default_factory=dict)
    portals: dict[str, Portal] = field(default_factory=dict)
    cursors: dict[str, Cursor] = field(default_factory=dict)
    notices: list[dict[str, str]] = field(default_factory=list)
    offset: int = 0
    several: bool = False
    unnamed_described: bool = False
    cancel_requested: bool = False
    cancel_reason: str = ""
    running: StatementTimer | None = None
    prepared: StatementTimer | None = None
    _reported: dict[str, str] = field(default_factory=dict)
    _reported_version: int = -1
    _application: tuple[int, str] = (-1, "")
    _caller: Caller | None = None
    _caller_version: tuple[int, int] = (-1, -1)

    def __post_init__(self) -> None:
        self.transaction = Transaction(self.settings)
        self.kept = KeptRows(self.limits.max_cursor_bytes)
        self.temporary = TemporaryTables(
            self.scope.catalog,
            self.transaction,
            self.settings,
            self.limits.temporary,
            self.user,
            self.process_id,
        )

    # ------------------------------------------------------------------------- identity

    async def assume(self, security: SecurityContext) -> None:
        """Act on another's behalf from here on.

        What was opened for the former ends: portals and cursors, held ones too. Prepared statements
        stay and are prepared again when they run. Temporary tables belong to whoever made them.

        Raises SessionError 55000 where the session has temporary tables.
        """
        if security == self.security:
            return
        if self.temporary.exist:
            raise SessionError(
                "55000",
                "cannot act as another user while temporary tables exist",
                hint="Drop them first: DISCARD TEMP, outside of a transaction.",
            )
        await self._become(security)

    async def return_to(self, security: SecurityContext) -> None:
        """As ``assume``, where there is no choice: a transaction that changed it has ended.

        Temporary tables that were made meanwhile are dropped.
        """
        if security != self.security:
            self.temporary.close()
            await self._become(security)

    async def _become(self, security: SecurityContext) -> None:
        scope = await self.scopes.open(security)
        for name, portal in list(self.portals.items()):
            if portal.outcome is not None:
                await self.drop_portal(name)
        for name in list(self.cursors):
            await self.drop_portal(name)
        self.security, self.scope = security, scope
        self.temporary.move(scope.catalog)
        self._caller = None

    @property
    def is_current(self) -> bool:
        """Whether the session has the model in service."""
        return self.serial == self.scopes.serial

    async def follow_model(self) -> None:
        """Take over the model in service, where it has been replaced.

        What is open stays open: it was begun with the former one. Temporary tables stay unless
        they are in a catalog that does not show the new model: that of a group of users whose
        relations have changed. Raises SessionError 55000 where they are lost, once.
        """
        while not self.is_current:
            serial = self.scopes.serial
            scope = await self.scopes.open(self.security)
            lost = self.temporary.exist and scope.catalog is not self.scope.catalog
            if lost:
                self.temporary.close()
            if not self.temporary.exist:
                self.temporary.move(scope.catalog)
            self.scope, self._caller, self.serial = scope, None, serial
            if lost:
                raise SessionError(
                    "55000",
                    "the temporary tables of this session are lost",
                    detail="The model has been replaced, and shows other relations to this user.",
                    hint="Make them again.",
                )

    async def caller_for(self, security: SecurityContext) -> Caller:
        """The caller of one statement that runs for another user; temporary tables are not theirs.

        Raises what ``scopes`` does.
        """
        caller = self.caller()
        scope = await self.scopes.open(security)
        semantic = replace(caller.semantic, user=security.user, access=scope.access)
        return replace(caller, semantic=semantic, security=security, scope=scope, own=None)

    def told_of(self, caller: Caller) -> Caller:
        """The caller whose statement at hand is told how far it has come."""
        return replace(caller, progress=self.running)

    # ------------------------------------------------------------------------- settings

    @property
    def user(self) -> str:
        """The login."""
        return self.security.login

    @property
    def application(self) -> str:
        """The application's name as the client gave it."""
        version, name = self._application
        if version != self.settings.version:
            name = self.settings.get("application_name") or ""
            self._application = (self.settings.version, name)
        return name

    def caller(self) -> Caller:
        """The caller as the engine wants it, rebuilt when a setting has changed."""
        version = (self.settings.version, self.temporary.version)
        if self._caller is None or self._caller_version != version:
            self._caller = self._make_caller()
            self._caller_version = version
        return self._caller

    def _make_caller(self) -> Caller:
        settings = self.settings
        aggregates = settings.get(MEASURE_AGGREGATES) or self.measure_aggregates
        path = settings.get("search_path") or '"$user", public'
        session_user = settings.get("session_authorization") or self.user
        return Caller(
            user=session_user,
            backend_pid=self.process_id,
            overlay=settings.effective(),
            semantic=SessionSettings(
                user=self.security.user,
                session_user="" if session_user == self.security.user else session_user,
                database=self.database,
                time_zone=settings.get("TimeZone") or "UTC",
                measure_aggregates=cast("Literal['strict', 'defined']", aggregates),
                search_path=tuple(name.strip().strip('"') for name in path.split(",")),
                version=self.version,
                access=self.scope.access,
            ),
            security=self.security,
            scope=self.scope,
            statement_timeout=self.seconds("statement_timeout") or None,
            cache=cast("Mode", settings.get(CACHE) or "on"),
            own=self.temporary if self.temporary.exist else None,
            rollup_choice=self._rollup_choice(),
        )

    def _rollup_choice(self) -> RollupChoice:
        mode = cast("RollupMode", self.settings.get(ROLLUPS) or "on")
        return RollupChoice(mode, parse_seconds(self.settings.get(MAX_STALENESS) or ""))

    def seconds(self, name: str) -> float:
        """A timeout setting in seconds; 0 where it is off."""
        value = self.settings.get(name)
        return int(value) / 1000 if value and value.isdigit() else 0.0

    def changed_settings(self) -> list[tuple[str, str]]:
        """Reported settings whose value differs from what the client last heard."""
        if self._reported_version == self.settings.version:
            return []
        self._reported_version = self.settings.version
        current = self.settings.reported()
        changed = [item for item in current.items() if self._reported.get(item[0]) != item[1]]
        self._reported = current
        return changed

    def all_reported(self) -> bool:
        """Whether the client has heard of every change of a setting."""
        return self._reported_version == self.settings.version

    # ------------------------------------------------------------------------- statements

    @contextmanager
    def statement(self, text: str) -> Iterator[StatementTimer]:
        """Time and log one statement; an error is recorded and goes on."""
        timer = self.running = self.recorder.start(text, self)
        self.recorder.overseer.begun(timer)
        prepared, self.prepared = self.prepared, None
        if prepared is not None and text in prepared.text:
            timer.clock.take_over(prepared.clock)
        token = CURRENT.set(timer.clock)
        try:
            yield timer
        except BaseException as error:
            timer.failed(error)
            raise
        finally:
            CURRENT.reset(token)
            self.running = None
            self.recorder.overseer.ended(timer)
            timer.finish()

    @contextmanager
    def attempt(self, text: str) -> Iterator[None]:
        """As ``statement``, for what only prepares one: recorded where it fails.

        Else its stages count for the statement that is run next, if it is this one.
        """
        timer = self.prepared = self.recorder.start(text, self)
        token = CURRENT.set(timer.clock)
        self.recorder.overseer.begun(timer)
        try:
            yield
        except BaseException as error:
            self.prepared = None
            timer.failed(error)
            timer.finish()
            raise
        finally:
            self.recorder.overseer.ended(timer)
            CURRENT.reset(token)

    @contextmanager
    def shifted_by(self, more: int) -> Iterator[None]:
        """Error positions raised inside count from ``more`` characters earlier.

        An error leaves the offset as it is, for whoever reports it.
        """
        self.offset += more
        yield
        self.offset -= more

    def check_new_statement(self, name: str) -> None:
        """Raises 42P05 where the name is taken, 54000 at the configured limit."""
        if name in self.statements:
            raise SessionError("42P05", f'prepared statement "{name}" already exists')
        if len(self.statements) - ("" in self.statements) >= self.limits.max_prepared_statements:
            raise SessionError(
                "54000",
                f"more than {self.limits.max_prepared_statements} prepared statements",
                hint="Close statements that are not used, or raise server.max_prepared_statements.",
            )

    def find_statement(self, name: str) -> PreparedStatement:
        """Raises 26000 for an unknown name."""
        prepared = self.statements.get(name)
        if prepared is None:
            which = f'prepared statement "{name}"' if name else "unnamed prepared statement"
            raise SessionError("26000", f"{which} does not exist")
        return prepared

    # ------------------------------------------------------------------------- portals

    def check_new_portal(self, name: str, *, kind: str = "cursor") -> None:
        """Raises 42P03 where the name is taken, 54000 at the configured limit."""
        if name in self.portals:
            raise SessionError("42P03", f'{kind} "{name}" already exists')
        if len(self.portals) - ("" in self.portals) >= self.limits.max_portals:
            raise SessionError(
                "54000",
                f"more than {self.limits.max_portals} open portals",
                hint="Close cursors that are not used, or raise server.max_portals.",
            )

    def find_portal(self, name: str) -> Portal:
        """Raises 34000 for an unknown name."""
        portal = self.portals.get(name)
        if portal is None:
            raise SessionError("34000", f'portal "{name}" does not exist')
        return portal

    def find_cursor(self, name: str) -> Cursor:
        """Raises 34000 for an unknown name."""
        cursor = self.cursors.get(name)
        if cursor is None:
            raise SessionError("34000", f'cursor "{name}" does not exist')
        return cursor

    async def drop_portal(self, name: str) -> None:
        """Close a portal, and the cursor of that name, if they exist."""
        portal = self.portals.pop(name, None)
        if portal is not None:
            await portal.close()
        cursor = self.cursors.pop(name, None)
        if cursor is not None:
            await cursor.close()

    async def end_transaction_portals(self, *, committed: bool) -> None:
        """The transaction is over: only cursors WITH HOLD that it committed stay."""
        for name in list(self.portals):
            cursor = self.cursors.get(name)
            if cursor is None or not cursor.hold or (cursor.fresh and not committed):
                await self.drop_portal(name)
            else:
                cursor.fresh = False

    async def end_block(self, *, commit: bool) -> bool:
        """COMMIT or ROLLBACK of a block; whether it was committed. Raises what speaks against."""
        transaction = self.transaction
        committed = commit and transaction.status == "T"
        try:
            await self.end_transaction_portals(committed=committed)
            if committed:
                await self.temporary.commit()
            else:
                await self.temporary.rollback()
        except BaseException:
            transaction.rollback()
            raise
        if committed:
            transaction.commit()
        else:
            transaction.rollback()
        return committed

    async def end_implicit(self, *, failed: bool) -> None:
        """The end of a message or pipeline outside a block is the end of its transaction."""
        transaction = self.transaction
        transaction.end_implicit(failed=failed)
        if transaction.in_block:
            return
        await self.end_transaction_portals(committed=not failed)
        if failed:
            await self.temporary.rollback()
        else:
            await self.temporary.commit()

    async def drop_portals_above(self, nesting: int) -> None:
        """A rollback to a savepoint: what was opened after it ends."""
        for name, portal in list(self.portals.items()):
            if portal.nesting > nesting:
                await self.drop_portal(name)

    # ------------------------------------------------------------------------- end

    def warn(self, sqlstate: str, message: str) -> None:
        """A WARNING that goes out before the statement's command tag, if the client wants any."""
        if self.settings.get("client_min_messages") in ("error", "fatal", "panic"):
            return
        self.notices.append(error_fields(sqlstate, message, severity="WARNING"))

    def take_cancel(self) -> bool:
        """Whether a request to cancel is pending; it is then no longer."""
        pending, self.cancel_requested = self.cancel_requested, False
        return pending

    def holds_resources(self) -> bool:
        """Whether a result is open that must be freed when the client goes."""
        return bool(self.portals) or self.temporary.exist

    async def close(self) -> None:
        """Free every portal, and what is temporary."""
        try:
            for name in list(self.portals):
                await self.drop_portal(name)
        finally:
            self.temporary.close()
        self.statements.clear()
