"""Transaction state of one session: blocks, implicit blocks, savepoints.

Nothing is ever written, so a transaction is the scope of settings and cursors and the rule that a
failed block refuses everything but its end (manual, section 55.2.2.1 for implicit blocks).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from proxy.errors import SessionError
from proxy.session.settings import Settings

Status = Literal["I", "T", "E"]
_SNAPSHOTS = ("repeatable read", "serializable")


@dataclass(slots=True)
class _Savepoint:
    name: str
    depth: int
    mark: int


@dataclass(slots=True)
class Transaction:
    """One session's transaction.

    ``queried`` is true once a query has run in the block: its isolation level is then settled.
    ``status`` is what ReadyForQuery says. ``implicit`` is true while a Query message with several
    statements, or an extended pipeline before its Sync, runs outside a block.
    """

    settings: Settings
    status: Status = "I"
    implicit: bool = False
    modes: dict[str, str] = field(default_factory=dict)
    queried: bool = False
    _savepoints: list[_Savepoint] = field(default_factory=list)
    _marks: int = 0

    @property
    def in_block(self) -> bool:
        """Whether BEGIN has opened a block that has not ended."""
        return self.status != "I"

    @property
    def has_snapshot(self) -> bool:
        """Whether all of its queries are to see the data of one moment."""
        isolation = self.modes.get("transaction_isolation") or (
            self.settings.get("default_transaction_isolation") if self.in_block else None
        )
        return isolation in _SNAPSHOTS

    def start_implicit(self) -> None:
        """Open the scope of one message (or pipeline) outside a block."""
        if self.status == "I" and not self.implicit:
            self.implicit = True
            self.settings.save()

    def end_implicit(self, *, failed: bool) -> bool:
        """Close the scope opened by ``start_implicit``. Returns whether one was open."""
        if not self.implicit:
            return False
        self.implicit = False
        if failed:
            self.settings.restore(0)
            self.settings.local = {}
        else:
            self.settings.release(0)
        return True

    def begin(self, modes: dict[str, str]) -> bool:
        """BEGIN. Returns False where a block was open already (a warning)."""
        if self.status == "T":
            return False
        if not self.implicit:
            self.settings.save()
        self.implicit = False
        self.status = "T"
        self.queried = False
        self.modes = dict(modes)
        return True

    def commit(self) -> bool:
        """COMMIT. Returns False where the block had failed, so that it was rolled back."""
        if self.status == "E":
            self.rollback()
            return False
        self._close()
        self.settings.release(0)
        return True

    def rollback(self) -> None:
        """ROLLBACK of the block."""
        self._close()
        self.settings.restore(0)
        self.settings.local = {}

    def _close(self) -> None:
        self.status = "I"
        self.implicit = False
        self.modes = {}
        self._savepoints.clear()

    def fail(self) -> None:
        """An error inside a block: only its end is accepted from here.

        What the innermost savepoint's part has set is undone at once, as PostgreSQL does.
        """
        if self.status == "T":
            self.status = "E"
            self.settings.restore(self._savepoints[-1].depth if self._savepoints else 0)
            self.settings.save()

    def savepoint(self, name: str) -> None:
        """SAVEPOINT name. Raises 25P01 outside a block."""
        self._require_block("SAVEPOINT")
        self._marks += 1
        self._savepoints.append(_Savepoint(name, self.settings.depth(), self._marks))
        self.settings.save()

    def release(self, name: str) -> None:
        """RELEASE SAVEPOINT name. Raises 3B001 for an unknown one."""
        self._require_block("RELEASE SAVEPOINT")
        index = self._find(name)
        self.settings.release(self._savepoints[index].depth)
        del self._savepoints[index:]

    def rollback_to(self, name: str) -> None:
        """ROLLBACK TO SAVEPOINT name: the savepoint stays, the block works again."""
        self._require_block("ROLLBACK TO SAVEPOINT")
        index = self._find(name)
        self.settings.restore(self._savepoints[index].depth)
        self.settings.save()
        del self._savepoints[index + 1 :]
        self.status = "T"

    def savepoint_depth(self, name: str) -> int:
        """How many savepoints stand up to and with ``name``: cursors opened deeper end with it."""
        return self._find(name) + 1

    @property
    def marks(self) -> tuple[int, ...]:
        """The open savepoints, outermost first, by numbers that are never used again."""
        return tuple(item.mark for item in self._savepoints)

    @property
    def nesting(self) -> int:
        """How many savepoints are open."""
        return len(self._savepoints)

    def _find(self, name: str) -> int:
        for index in range(len(self._savepoints) - 1, -1, -1):
            if self._savepoints[index].name == name:
                return index
        raise SessionError("3B001", f'savepoint "{name}" does not exist')

    def _require_block(self, command: str) -> None:
        if self.status == "I":
            raise SessionError("25P01", f"{command} can only be used in transaction blocks")
