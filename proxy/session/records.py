"""One record per statement: what the log line and the metrics are made from."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from proxy.audit.decisions import decision_of
from proxy.audit.trail import Decision
from proxy.errors import flatten
from proxy.observability.stages import StageClock
from proxy.progress import StatementState
from proxy.queries import Caller, CatalogQuery, CubeQuery
from semantic.compiler.api import CompiledStatement
from semantic.security.context import SecurityContext

NO_STAGES: Mapping[str, float] = {}
NO_SPANS: Mapping[str, tuple[float, float]] = {}


class Speaker(Protocol):
    """Who runs the statement."""

    process_id: int
    database: str

    @property
    def user(self) -> str:
        """The login."""

    @property
    def security(self) -> SecurityContext:
        """On whose behalf it acts."""

    @property
    def application(self) -> str:
        """The application's name as the client gave it."""


@dataclass(slots=True, eq=False)
class StatementTimer:
    """One statement on its way.

    Attributes:
        statement_id: ``<process id>-<number>``, unique within a server's life.
        parameters: values bound to it.
        security: for whom it runs, where the statement itself says so.
        relations: cubes and views that it reads.
        decision: what access policies made of it.
        cache: of a query over cubes, where its rows came from.
        rollups: the pre-aggregations that it read.
        data_source: that it is answered from, where it reads cubes.
        state: how far it has come.
    """

    statement_id: str
    text: str
    speaker: Speaker
    sink: Callable[[StatementTimer], None]
    started: float = field(default_factory=time.perf_counter)
    kind: str = "utility"
    rows: int = 0
    bytes: int = 0
    sqlstate: str = "00000"
    security: SecurityContext | None = None
    relations: tuple[str, ...] = ()
    decision: Decision = field(default=Decision())
    cache: str | None = None
    rollups: tuple[str, ...] = ()
    data_source: str = ""
    state: StatementState = "preparing"
    parameters: Sequence[object] = ()
    _mark: float = 0.0
    _clock: StageClock | None = None

    def __post_init__(self) -> None:
        self._mark = self.started

    @property
    def stages(self) -> Mapping[str, float]:
        """Milliseconds per stage and phase, in the order they ended."""
        return NO_STAGES if self._clock is None else self._clock.took

    @property
    def spans(self) -> Mapping[str, tuple[float, float]]:
        """First start and last end by stage and phase, in seconds of ``time.perf_counter``."""
        return NO_SPANS if self._clock is None else self._clock.spans

    @property
    def clock(self) -> StageClock:
        """Of its stages; what is given again byte for byte has none."""
        if self._clock is None:
            self._clock = StageClock()
        return self._clock

    def phase(self, name: str) -> None:
        """The phase that began at the previous call ends now; stages lie within phases."""
        now = time.perf_counter()
        self.clock.add(name, self._mark, now)
        self._mark = now

    def prepared(self, kind: str) -> None:
        """Parsing, analysis and compilation are done; ``kind`` says who answers."""
        self.kind = kind
        self.phase("prepare")

    def reads(self, query: CubeQuery | CatalogQuery | None) -> None:
        """What it will read, as it is now known; what is known later goes before."""
        if isinstance(query, CubeQuery) and isinstance(query.plan, CompiledStatement):
            self.relations = query.plan.relations

    def runs(self, query: CubeQuery, caller: Caller) -> None:
        """What is being run, and for whom."""
        self.reads(query)
        self.state = "running"
        self.security = caller.security
        self.data_source = query.compiled.data_source
        self.decision = decision_of(query.compiled.steps, caller.scope.access)

    def entered(self, state: StatementState) -> None:
        """See ``proxy.progress.Progress``."""
        self.state = state

    def failed(self, error: BaseException) -> None:
        """The statement ended in an error."""
        self.sqlstate = flatten(error)["C"]

    def finish(self) -> None:
        """Hand the record over."""
        self.sink(self)

    @property
    def milliseconds(self) -> float:
        """Time since the statement began."""
        return (time.perf_counter() - self.started) * 1000


class Overseer(Protocol):
    """Who lets the statements of a session begin, and knows of those that run."""

    def check(self, login: str, user: str) -> None:
        """Asked before every statement of a login for a user; raises where none may begin."""

    def begun(self, timer: StatementTimer) -> None:
        """A statement that takes a while has begun."""

    def ended(self, timer: StatementTimer) -> None:
        """It has ended."""


class StatementRecorder:
    """Makes a timer per statement and numbers them."""

    def __init__(
        self,
        process_id: int,
        sink: Callable[[StatementTimer], None],
        overseer: Overseer,
    ) -> None:
        """Start at 1.

        Args:
            process_id: of the session.
            sink: takes every statement that has ended.
            overseer: asked before every statement, and told of it.
        """
        self._process_id = process_id
        self._numbers = itertools.count(1)
        self._sink = sink
        self.overseer = overseer

    def start(self, text: str, speaker: Speaker, *, skipped: int = 0) -> StatementTimer:
        """A statement begins now, after others that took numbers. Raises what speaks against it."""
        self.overseer.check(speaker.user, speaker.security.user)
        for _ in range(skipped):
            next(self._numbers)
        return StatementTimer(
            f"{self._process_id}-{next(self._numbers)}", text, speaker, self._sink
        )
