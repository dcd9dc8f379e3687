"""One client's session: its messages in, its answers out.

The simple and the extended query protocols (manual, sections 55.2.2 and 55.2.3) over one runner of
statements. Reading and writing of bytes, TLS and login are the connection's business.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from proxy.catalog.errors import CatalogError
from proxy.errors import SessionError, flatten, is_own_fault, let_go
from proxy.queries import with_formats
from proxy.served import MOST_CHANGES, ModelChangedError
from proxy.session.client import Client
from proxy.session.outcomes import OutcomeWriter
from proxy.session.portal import Portal, expand_formats
from proxy.session.prepared import PreparedStatement
from proxy.session.records import StatementTimer
from proxy.session.replaying import Recalled, Replayer, Turn
from proxy.session.results import Outcome, Rows
from proxy.session.runner import Runner
from proxy.session.state import SessionState
from proxy.wire.backend import (
    BindComplete,
    CloseComplete,
    EmptyQueryResponse,
    ErrorResponse,
    NoData,
    ParameterDescription,
    ParameterStatus,
    ParseComplete,
    ReadyForQuery,
    RowDescription,
)
from proxy.wire.connection import Phase, ServerConnection
from proxy.wire.errors import ProtocolViolation
from proxy.wire.frontend import (
    Bind,
    Close,
    CopyData,
    CopyDone,
    CopyFail,
    Describe,
    Execute,
    Flush,
    FrontendMessage,
    FunctionCall,
    Parse,
    Query,
    Sync,
)

logger = logging.getLogger("cubewire.session")

_PARSE_COMPLETE = ParseComplete().encode()
_BIND_COMPLETE = BindComplete().encode()
_CLOSE_COMPLETE = CloseComplete().encode()
_NO_DATA = NoData().encode()
_EMPTY = EmptyQueryResponse().encode()


class Session:
    """Handles the messages of one authenticated client, one at a time.

    ``busy`` is true while a statement runs: what a CancelRequest may interrupt.
    """

    def __init__(
        self,
        client: Client,
        wire: ServerConnection,
        state: SessionState,
        runner: Runner,
        replayer: Replayer,
    ) -> None:
        self._client = client
        self._wire = wire
        self.state = state
        self._runner = runner
        self._writer = OutcomeWriter(client, state)
        self._replayer = replayer
        self._turn: Turn | None = None
        self._pipeline_failed = False
        self.busy = False

    # ------------------------------------------------------------------------- replaying

    def recall(self, data: bytes, now: float) -> Recalled | None:
        """The answer to bytes that came while nothing went on, where it is known already."""
        return None if self._pipeline_failed else self._replayer.recall(data, now)

    def listen(self) -> bool:
        """Whether the answer to the bytes that are handled next may be remembered."""
        self._turn = self._replayer.listen()
        return self._turn is not None

    def remember(self, heard: bytes, said: bytes) -> None:
        """All that was sent for ``heard``, the bytes since ``listen``, is ``said``."""
        turn, self._turn = self._turn, None
        if turn is not None:
            self._replayer.remember(turn, heard, said)

    # ------------------------------------------------------------------------- messages

    async def handle(self, message: FrontendMessage) -> None:
        """Carry out one message. Errors of the client's making are answered, not raised.

        Raises ConnectionError when the client has gone, and SessionError of severity FATAL.
        """
        if self._turn is not None:
            self._turn.messages.append(message)
        if isinstance(message, Query):
            await self._query(message.sql)
        elif isinstance(message, Sync):
            await self._sync()
        elif isinstance(message, Flush):
            self._client.flush()
        elif isinstance(message, FunctionCall):
            await self._refuse_function_call()
        elif isinstance(message, CopyData | CopyDone | CopyFail):
            # Left over from a COPY FROM STDIN that was refused: PostgreSQL ignores them too.
            return
        else:
            await self._extended(message)

    async def refuse(self, error: ProtocolViolation) -> None:
        """Answer a malformed message after which the connection goes on."""
        self._fail(error)
        if self._wire.phase is Phase.ANSWERING:
            await self._ready(failed=True)
        else:
            self._pipeline_failed = True
            self.state.transaction.start_implicit()

    async def close(self) -> None:
        """The client has gone: free everything."""
        await self.state.close()

    # ------------------------------------------------------------------------- simple query

    async def _query(self, sql: str) -> None:
        state = self.state
        failed = False
        self.busy = True
        state.offset = 0
        try:
            state.statements.pop("", None)
            await state.drop_portal("")
            statements = await self._runner.split(sql)
            state.transaction.start_implicit()
            state.several = len(statements) > 1
            if not statements:
                self._client.send(_EMPTY)
            if state.several:
                await self._runner.check_syntax(statements, self._client.drain)
            for part in statements:
                if part is not statements[0]:
                    await self._client.drain()
                state.offset = part.offset
                await self._run_simple(part.text)
        except Exception as error:  # noqa: BLE001 - every error is answered (flatten)
            failed = True
            self._fail(error)
        except asyncio.CancelledError as error:
            failed = True
            self._interrupted(error)
        finally:
            self.busy = False
        await self._absorb_late_cancel()
        state.several = False
        await self._ready(failed=failed)

    async def _run_simple(self, text: str) -> None:
        with self.state.statement(text) as record:
            prepared, outcome = await self._begun(text, record)
            self._note(prepared, outcome, record)
            if isinstance(outcome, Rows):
                self._client.send(RowDescription(outcome.fields).encode())
            await self._writer.write(outcome, record)

    async def _begun(self, text: str, record: StatementTimer) -> tuple[PreparedStatement, Outcome]:
        """A statement that has been begun, again where the model was replaced meanwhile."""
        for _ in range(MOST_CHANGES):
            prepared = await self._runner.prepare(text, (), describe=False)
            record.prepared(prepared.kind)
            record.reads(prepared.query)
            self._runner.check_no_parameters(prepared)
            with suppress(ModelChangedError):
                outcome = await self._runner.begin(Portal("", prepared))
                return prepared, outcome
        raise ModelChangedError

    def _note(self, prepared: PreparedStatement, outcome: Outcome, record: StatementTimer) -> None:
        if self._turn is not None:
            self._turn.runs(prepared, outcome, record)

    # ------------------------------------------------------------------------- extended query

    async def _extended(self, message: FrontendMessage) -> None:
        self.state.transaction.start_implicit()
        self.state.offset = 0
        self.busy = True
        try:
            await self._step(message)
        except Exception as error:  # noqa: BLE001 - every error is answered (flatten)
            self._fail_pipeline(error)
        except asyncio.CancelledError as error:
            self._interrupted(error)
            self._wire.skip_until_sync()
            self._pipeline_failed = True
        finally:
            self.busy = False
        await self._absorb_late_cancel()

    async def _step(self, message: FrontendMessage) -> None:
        if isinstance(message, Parse):
            with self.state.attempt(message.query):
                await self._parse(message)
        elif isinstance(message, Bind):
            await self._bind(message)
        elif isinstance(message, Describe):
            await self._describe(message)
        elif isinstance(message, Execute):
            await self._execute(message)
        elif isinstance(message, Close):
            await self._close_named(message)
        else:
            raise SessionError("08P01", f"unexpected message {type(message).__name__}")

    async def _parse(self, message: Parse) -> None:
        state = self.state
        if message.statement:
            state.check_new_statement(message.statement)
        else:
            state.statements.pop("", None)
            state.unnamed_described = False
        statements = await self._runner.split(message.query)
        if len(statements) > 1:
            raise SessionError("42601", "cannot insert multiple commands into a prepared statement")
        if not statements:
            prepared = PreparedStatement("", None)
        else:
            state.offset = statements[0].offset
            prepared = await self._runner.prepare(
                statements[0].text, message.parameter_oids, describe=True
            )
        state.statements[message.statement] = prepared
        self._client.send(_PARSE_COMPLETE)

    async def _bind(self, message: Bind) -> None:
        state = self.state
        self._runner.check_not_aborted(state.find_statement(message.statement).statement)
        prepared = await self._runner.revalidated(message.statement)
        if message.portal:
            state.check_new_portal(message.portal)
        else:
            await state.drop_portal("")
        portal = await self._runner.bind(message, prepared)
        state.portals[message.portal] = portal
        self._client.send(_BIND_COMPLETE)

    async def _describe(self, message: Describe) -> None:
        state = self.state
        if message.kind == "S":
            self._check_describable(state.find_statement(message.name))
            prepared = await self._runner.revalidated(message.name)
            state.unnamed_described |= not message.name
            self._client.send(ParameterDescription(prepared.parameter_oids).encode())
            formats: tuple[int, ...] = ()
        else:
            portal = state.find_portal(message.name)
            prepared = portal.prepared
            self._check_describable(prepared)
            self._runner.check_own(portal)
            formats = portal.result_formats
        fields = self._runner.fields_of(prepared)
        if fields is None:
            self._client.send(_NO_DATA)
            return
        codes = expand_formats(formats, len(fields))
        self._client.send(RowDescription(with_formats(fields, codes)).encode())

    def _check_describable(self, prepared: PreparedStatement) -> None:
        if prepared.fields is not None:
            self._runner.check_not_aborted(prepared.statement)

    async def _execute(self, message: Execute) -> None:
        portal = self.state.find_portal(message.portal)
        if portal.prepared.statement is None:
            self._client.send(_EMPTY)
            return
        with self.state.statement(portal.prepared.text) as record:
            record.prepared(portal.prepared.kind)
            record.reads(portal.prepared.query)
            record.parameters = portal.values
            self._runner.check_not_aborted(portal.prepared.statement)
            limit = message.max_rows if message.max_rows > 0 else None
            outcome = await self._runner.resume(portal, limit)
            self._note(portal.prepared, outcome, record)
            await self._writer.write(outcome, record, limit=limit, portal=portal)

    async def _close_named(self, message: Close) -> None:
        if message.kind == "S":
            self.state.statements.pop(message.name, None)
        else:
            await self.state.drop_portal(message.name)
        self._client.send(_CLOSE_COMPLETE)

    async def _sync(self) -> None:
        failed, self._pipeline_failed = self._pipeline_failed, False
        await self._ready(failed=failed)

    # ------------------------------------------------------------------------- ends and errors

    async def _refuse_function_call(self) -> None:
        error = SessionError(
            "0A000",
            "the function call protocol is not supported",
            hint="Call the function in a SELECT.",
        )
        self._fail(error)
        await self._ready(failed=True)

    def _fail_pipeline(self, error: Exception) -> None:
        self._fail(error)
        self._wire.skip_until_sync()
        self._pipeline_failed = True

    def _fail(self, error: BaseException) -> None:
        if isinstance(error, ConnectionError):
            raise error
        if isinstance(error, SessionError) and error.severity == "FATAL":
            raise error
        fields = flatten(error, self.state.offset)
        if is_own_fault(error) or (fields["C"] == "XX000" and not isinstance(error, CatalogError)):
            logger.error("internal error in connection %s", self.state.process_id, exc_info=error)
        self.state.transaction.fail()
        self._client.send(ErrorResponse(fields).encode())
        let_go(error)

    def _interrupted(self, error: asyncio.CancelledError) -> None:
        """Turn a request to cancel into an error of the statement (57014).

        Any other cancellation is the end of the connection and goes on.
        """
        if not self.state.take_cancel():
            raise error
        let_go(error)
        task = asyncio.current_task()
        if task is not None:
            task.uncancel()
        reason = self.state.cancel_reason
        self._fail(SessionError("57014", f"canceling statement due to {reason}"))

    async def _absorb_late_cancel(self) -> None:
        """A CancelRequest that came as the statement ended must not hit what comes next."""
        if not self.state.take_cancel():
            return
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None:
                task.uncancel()

    async def _ready(self, *, failed: bool) -> None:
        state = self.state
        transaction = state.transaction
        try:
            await state.end_implicit(failed=failed)
        except Exception as error:  # noqa: BLE001 - every error is answered (flatten)
            self._fail(error)
            await state.temporary.rollback()
        for name, value in state.changed_settings():
            self._client.send(ParameterStatus(name, value).encode())
        self._client.send(ReadyForQuery(transaction.status).encode())
        self._wire.ready()
        await self._client.drain()
