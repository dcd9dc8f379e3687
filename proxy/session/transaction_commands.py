"""BEGIN, COMMIT, ROLLBACK and savepoints."""

from __future__ import annotations

from typing import ClassVar

from proxy.errors import SessionError
from proxy.session.results import Done
from proxy.session.state import SessionState
from semantic.compiler import statements as sql


def mode_settings(options: sql.TransactionOptions) -> dict[str, str]:
    """The settings that a transaction's modes are, as SHOW prints them."""
    modes: dict[str, str] = {}
    if options.isolation is not None:
        modes["transaction_isolation"] = options.isolation
    if options.read_only is not None:
        modes["transaction_read_only"] = "on" if options.read_only else "off"
    if options.deferrable is not None:
        modes["transaction_deferrable"] = "on" if options.deferrable else "off"
    return modes


class TransactionCommands:
    """The transaction statements of one session, with PostgreSQL's warnings."""

    KINDS: ClassVar = (
        sql.Begin,
        sql.Commit,
        sql.Rollback,
        sql.Savepoint,
        sql.Release,
        sql.RollbackTo,
    )

    def __init__(self, state: SessionState) -> None:
        self._state = state

    async def run(self, statement: sql.Statement) -> Done:
        """Carry one out."""
        transaction = self._state.transaction
        if isinstance(statement, sql.Begin):
            if not transaction.begin(mode_settings(statement.options)):
                self._state.warn("25001", "there is already a transaction in progress")
            return Done("START TRANSACTION" if statement.start else "BEGIN")
        if isinstance(statement, sql.Commit):
            return await self._commit(chain=statement.chain)
        if isinstance(statement, sql.Rollback):
            return await self._rollback(chain=statement.chain)
        if isinstance(statement, sql.Savepoint):
            transaction.savepoint(statement.name)
            return Done("SAVEPOINT")
        if isinstance(statement, sql.Release):
            transaction.release(statement.name)
            await self._state.temporary.release_savepoints()
            return Done("RELEASE")
        if isinstance(statement, sql.RollbackTo):
            transaction.rollback_to(statement.name)
            depth = transaction.savepoint_depth(statement.name)
            await self._state.drop_portals_above(depth - 1)
            await self._state.temporary.rollback_to_savepoint()
            return Done("ROLLBACK")
        raise SessionError("XX000", f"not a transaction statement: {statement!r}")

    async def _commit(self, *, chain: bool) -> Done:
        transaction = self._state.transaction
        modes = transaction.modes
        if not transaction.in_block:
            self._require_block_for_chain("COMMIT", chain=chain)
            self._state.warn("25P01", "there is no transaction in progress")
            return Done("COMMIT")
        committed = await self._state.end_block(commit=True)
        self._chain(modes, chain=chain)
        return Done("COMMIT" if committed else "ROLLBACK")

    async def _rollback(self, *, chain: bool) -> Done:
        transaction = self._state.transaction
        modes = transaction.modes
        if not transaction.in_block:
            self._require_block_for_chain("ROLLBACK", chain=chain)
            self._state.warn("25P01", "there is no transaction in progress")
            return Done("ROLLBACK")
        await self._state.end_block(commit=False)
        self._chain(modes, chain=chain)
        return Done("ROLLBACK")

    def _chain(self, modes: dict[str, str], *, chain: bool) -> None:
        if chain:
            self._state.transaction.begin(modes)
        else:
            self._state.transaction.start_implicit()

    def _require_block_for_chain(self, command: str, *, chain: bool) -> None:
        if chain:
            raise SessionError(
                "25P01", f"{command} AND CHAIN can only be used in transaction blocks"
            )
