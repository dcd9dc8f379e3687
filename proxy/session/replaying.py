"""Answers that are given again byte for byte, without running through the session.

What a client sends at once, while nothing else goes on in its session, and what it was sent for it
are remembered together where the rows came whole from the result cache. The same bytes in a session
for which everything is alike are answered by the same bytes, as long as that result is current.
Whatever is doubtful goes the long way; the session's state, its statement numbers, the log, the
metrics and the audit trail are afterwards what they would be had it gone there.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

from proxy.audit.trail import Decision
from proxy.cache.memory import Entry
from proxy.cube_rows import CachedRows
from proxy.observability.trace_context import without_trace
from proxy.queries import Caller, CatalogQuery, CubeQuery
from proxy.session.prepared import PreparedStatement
from proxy.session.records import StatementTimer
from proxy.session.results import Outcome, Rows
from proxy.session.state import SessionState
from proxy.wire.codec import HEADER
from proxy.wire.frontend import Bind, Describe, Execute, FrontendMessage, Parse, Query, Sync
from semantic.compiler.statements import Select

LONGEST_REQUEST = 8_192
LONGEST_ANSWER = 65_536
ENTRY_BYTES = 700
"""What a remembered answer takes besides its bytes."""
MOST_CONTEXTS = 10_000

_SHAPES: frozenset[tuple[type[FrontendMessage], ...]] = frozenset(
    {
        (Query,),
        (Bind, Execute, Sync),
        (Bind, Describe, Execute, Sync),
        (Parse, Bind, Execute, Sync),
        (Parse, Bind, Describe, Execute, Sync),
        (Parse, Describe, Bind, Execute, Sync),
    }
)
_FIRST = frozenset(b"QBP")
_ANSWERS = frozenset(b"TDCZ12tn")
"""Kinds of messages that a remembered answer consists of: no error, notice or changed setting."""


@dataclass(slots=True, eq=False)
class Turn:
    """What a session does for what its client sent at once.

    Attributes:
        messages: that were handled.
        ran: the statement that ran, what it gave, and its record.
        spoiled: whether something happened that no answer can be remembered with.
    """

    settings_version: int
    messages: list[FrontendMessage] = field(default_factory=list)
    ran: tuple[PreparedStatement, Outcome, StatementTimer] | None = None
    spoiled: bool = False

    def runs(self, prepared: PreparedStatement, outcome: Outcome, record: StatementTimer) -> None:
        """A statement was opened."""
        self.spoiled |= self.ran is not None
        self.ran = (prepared, outcome, record)


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """An answer and what it depends on.

    Attributes:
        name: of the prepared statement that it uses; None where it brings its own.
        query: what that name has to stand for.
        unnamed: the unnamed statement afterwards; None where there is none.
        keeps_unnamed: whether the unnamed statement stays what it is.
        parsed: statements that were only prepared: each took a number.
        until: monotonic seconds up to which the rows are current.
        epoch: of the cache; another one means that rows may have been invalidated.
    """

    data: bytes
    name: str | None
    query: CubeQuery | CatalogQuery | None
    unnamed: PreparedStatement | None
    keeps_unnamed: bool
    parsed: int
    entry: Entry
    until: float
    epoch: object
    text: str
    rows: int
    bytes: int
    relations: tuple[str, ...]
    decision: Decision


@dataclass(slots=True, eq=False)
class Recalled:
    """An answer that is given again.

    Attributes:
        record: of the statement, to be finished once ``data`` has been sent.
    """

    data: bytes
    record: StatementTimer


class Answers:
    """The answers that a process remembers: least recently used out, bounded in bytes."""

    def __init__(self, cached: CachedRows, capacity: int) -> None:
        self._cached = cached
        self._capacity = capacity if cached.results is not None else 0
        self._used = 0
        self._answers: OrderedDict[tuple[object, bytes], Answer] = OrderedDict()
        self._contexts: dict[Hashable, object] = {}

    def context(self, caller: Caller) -> object:
        """Stands for all that an answer depends on besides the bytes that were sent."""
        key = (caller.fingerprint(), caller.security, caller.cache)
        if len(self._contexts) > MOST_CONTEXTS:
            self._contexts.clear()
        return self._contexts.setdefault(key, object())

    def find(self, context: object, data: bytes, now: float) -> Answer | None:
        """The answer, if it is still true."""
        key = (context, data)
        answer = self._answers.get(key)
        if answer is None:
            return None
        if now >= answer.until or answer.epoch is not self._cached.epoch or not answer.entry.alive:
            self._drop(key)
            return None
        self._answers.move_to_end(key)
        return answer

    def used(self, answer: Answer) -> None:
        """It was given: the result that it is of is in use."""
        results = self._cached.results
        assert results is not None
        results.memory.touch(answer.entry)
        self._cached.observe("memory")

    def keep(self, context: object, data: bytes, answer: Answer) -> None:
        """Remember an answer."""
        key = (context, data)
        self._drop(key)
        size = _size(data, answer)
        if size > self._capacity:
            return
        self._answers[key] = answer
        self._used += size
        while self._used > self._capacity:
            self._drop(next(iter(self._answers)))

    @property
    def epoch(self) -> object:
        """Of the cache, now."""
        return self._cached.epoch

    def _drop(self, key: tuple[object, bytes]) -> None:
        answer = self._answers.pop(key, None)
        if answer is not None:
            self._used -= _size(key[1], answer)


class Replayer:
    """Remembers and gives again the answers of one session."""

    def __init__(self, state: SessionState, answers: Answers) -> None:
        self._state = state
        self._answers = answers
        self._caller: Caller | None = None
        self._context: object = None

    def listen(self) -> Turn | None:
        """What the client sent at once begins to be handled; None: not to be remembered."""
        state = self._state
        return Turn(state.settings.version) if self._is_plain() else None

    def recall(self, data: bytes, now: float) -> Recalled | None:
        """The answer to what a client sent while nothing goes on; None: it goes the long way."""
        if len(data) > LONGEST_REQUEST or not self._is_plain():
            return None
        state = self._state
        answer = self._answers.find(self._current_context(), data, now)
        if answer is None:
            return None
        if answer.name is not None:
            bound = state.statements.get(answer.name)
            if bound is None or bound.query is not answer.query:
                return None
        try:
            record = state.recorder.start(answer.text, state, skipped=answer.parsed)
        except Exception:  # noqa: BLE001 - the long way finds the same, and reports it
            return None
        if not answer.keeps_unnamed:
            if answer.unnamed is None:
                state.statements.pop("", None)
            else:
                state.statements[""] = answer.unnamed
        self._answers.used(answer)
        record.kind, record.cache = "cube", "memory"
        record.rows, record.bytes = answer.rows, answer.bytes
        record.relations, record.decision = answer.relations, answer.decision
        return Recalled(answer.data, record)

    def remember(self, turn: Turn, heard: bytes, said: bytes) -> None:
        """A turn is over in which ``said`` was all that was sent for ``heard``."""
        state = self._state
        if turn.ran is None or turn.spoiled or not self._is_plain():
            return
        prepared, outcome, record = turn.ran
        if not isinstance(prepared.statement, Select) or not isinstance(outcome, Rows):
            return
        found, caller = outcome.found, state.caller()
        if found is None or found.entry is None or caller.cache not in ("on", "only"):
            return
        if state.settings.version != turn.settings_version or outcome.caller is not caller:
            return
        if without_trace(record.text) is not record.text:
            return  # it never comes again
        if len(said) > LONGEST_ANSWER or not _is_plain_answer(said):
            return
        shape = _shape(turn.messages)
        if shape is None:
            return
        parses, name = shape
        answer = Answer(
            data=said,
            name=name,
            query=prepared.query,
            unnamed=state.statements.get("") if parses else None,
            keeps_unnamed=name is not None,
            parsed=int(parses),
            entry=found.entry,
            until=found.until,
            epoch=self._answers.epoch,
            text=record.text,
            rows=record.rows,
            bytes=record.bytes,
            relations=record.relations,
            decision=record.decision,
        )
        self._answers.keep(self._current_context(), heard, answer)

    def _is_plain(self) -> bool:
        """Whether the session is in the state in which answers are remembered and given.

        Who acts for another has what they are looked up for each statement.
        """
        state = self._state
        transaction = state.transaction
        return (
            state.security.user == state.security.login
            and transaction.status == "I"
            and not transaction.implicit
            and not state.portals
            and not state.notices
            and not state.cancel_requested
            and not state.temporary.exist
            and state.all_reported()
            and state.is_current
        )

    def _current_context(self) -> object:
        caller = self._state.caller()
        if caller is not self._caller:
            self._caller, self._context = caller, self._answers.context(caller)
        return self._context


def may_be_remembered(data: bytes) -> bool:
    """Whether what a client sent may be what an answer is remembered for."""
    return data[0] in _FIRST and len(data) <= LONGEST_REQUEST


def _size(data: bytes, answer: Answer) -> int:
    return ENTRY_BYTES + len(data) + len(answer.data)


def _shape(messages: Sequence[FrontendMessage]) -> tuple[bool, str | None] | None:
    """Whether messages parse, and the named statement they use; None where they fit no shape."""
    if tuple(map(type, messages)) not in _SHAPES:
        return None
    parses, name = False, None
    for message in messages:
        if isinstance(message, Parse):
            parses = True
            if message.statement:
                return None
        elif isinstance(message, Bind):
            name = message.statement
            if message.portal or (parses and name):
                return None
        elif isinstance(message, Describe):
            # Of the statement that this turn has just parsed, else of its portal.
            just_parsed = parses and messages[1] is message
            if message.name or message.kind != ("S" if just_parsed else "P"):
                return None
        elif isinstance(message, Execute) and message.portal:
            return None
    return parses, None if parses else name


def _is_plain_answer(said: bytes) -> bool:
    at = 0
    while at + 5 <= len(said):
        kind, length = HEADER.unpack_from(said, at)
        if kind not in _ANSWERS:
            return False
        at += length + 1
    return at == len(said) and said[-6:-5] == b"Z"
