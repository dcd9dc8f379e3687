"""The statements that run in this process, for whoever looks at them or ends them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from proxy.session.records import StatementTimer


@dataclass(frozen=True, slots=True, eq=False)
class RunningStatement:
    """A statement from its first message to its last.

    Attributes:
        timer: what is known of it: id, text, who runs it, data source, state, rows.
        cancel: ends it with 57014, for the reason given; its session goes on. Does nothing where it
            has ended meanwhile.
        terminate: ends its session, for good (57P01).
    """

    timer: StatementTimer
    cancel: Callable[[str], None]

    def is_of(self, user: str) -> bool:
        """Whether a user runs it: has logged in for it, or is whom it is run for."""
        timer = self.timer
        acts_for = timer.security or timer.speaker.security
        return user in (timer.speaker.user, acts_for.user)


@dataclass(slots=True, eq=False)
class RunningStatements:
    """Those of all sessions of a process, by their ids, in the order in which they began."""

    _statements: dict[str, RunningStatement] = field(default_factory=dict)

    def __iter__(self) -> Iterator[RunningStatement]:
        return iter(tuple(self._statements.values()))

    def __len__(self) -> int:
        return len(self._statements)

    def begin(self, statement: RunningStatement) -> None:
        """A statement begins."""
        self._statements[statement.timer.statement_id] = statement

    def end(self, timer: StatementTimer) -> None:
        """A statement has ended."""
        self._statements.pop(timer.statement_id, None)

    def find(self, statement_id: str) -> RunningStatement | None:
        """The statement of an id, while it runs."""
        return self._statements.get(statement_id)

    def of_user(self, user: str) -> tuple[RunningStatement, ...]:
        """Those that a user runs, or that run for them."""
        return tuple(each for each in self if each.is_of(user))
