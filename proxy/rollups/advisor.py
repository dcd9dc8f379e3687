"""Proposes the pre-aggregations that would have answered logged statements.

Whether one would answer a statement is not guessed: the statement is compiled against the model
with that pre-aggregation in it, as if it were built, and the compiler says whether it reads it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from proxy.queries import CubeQuery
from semantic.compiler.api import CompiledStatement, SessionSettings
from semantic.compiler.compiler import Compiler
from semantic.compiler.rollups.api import RollupCandidates, StoredPart, StoredRollup
from semantic.errors import SemanticError
from semantic.model.members import Dimension
from semantic.model.model import Model
from semantic.model.preaggregation import PreAggregation, RollupTime
from semantic.model.relations import Cube
from semantic.model.template import Reference

GRAINS = ("year", "quarter", "month", "week", "day", "hour", "minute", None)
"""Granularities of a stored time, the coarsest first; None: the moments as they are."""

_WEEK = GRAINS.index("week")
_DAY = GRAINS.index("day")
_LEAST_GAIN = 0.05
"""Of all logged time: what a pre-aggregation saves at least, to be worth its upkeep."""
_MOST_CANDIDATES = 40

MakeCompiler = Callable[[Model], Compiler]
CountRows = Callable[[CompiledStatement], Awaitable[int]]


@dataclass(frozen=True, slots=True, eq=False)
class Logged:
    """A statement of the log.

    Attributes:
        times: how often it ran.
        seconds: what all runs took.
    """

    query: CubeQuery
    times: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Shape:
    """What a pre-aggregation holds.

    Attributes:
        grain: index in ``GRAINS`` of the time's granularity.
    """

    cube: str
    measures: frozenset[str]
    dimensions: frozenset[str]
    time: str | None = None
    grain: int = 0

    def joined(self, other: Shape) -> Shape | None:
        """What holds both; None where that is no one pre-aggregation."""
        times = {shape.time for shape in (self, other)} - {None}
        if self.cube != other.cube or len(times) > 1:
            return None
        grains = [shape.grain for shape in (self, other) if shape.time is not None]
        grain = max(grains, default=0)
        if grain == _WEEK and min(grains) < _WEEK:
            grain = _DAY  # weeks make no months
        return Shape(
            self.cube,
            self.measures | other.measures,
            self.dimensions | other.dimensions,
            next(iter(times), None),
            grain,
        )

    def declared(self, name: str) -> PreAggregation:
        """The shape as the model would declare it."""
        time = None if self.time is None else RollupTime(_reference(self.time), GRAINS[self.grain])
        return PreAggregation(
            name,
            measures=tuple(map(_reference, sorted(self.measures))),
            dimensions=tuple(map(_reference, sorted(self.dimensions))),
            time_dimensions=() if time is None else (time,),
        )


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A proposed pre-aggregation.

    Attributes:
        hits: runs of logged statements that it would have answered.
        rows: that it would store.
        source_rows: that its cube has.
        seconds: what those runs took.
        saved: what of them it would save, if time goes with rows.
    """

    shape: Shape
    name: str
    hits: int
    rows: int
    source_rows: int
    seconds: float
    saved: float


@dataclass(slots=True)
class _Candidate:
    shape: Shape
    answers: tuple[int, ...] = ()
    rows: int = 0
    source_rows: int = 1
    saved: dict[int, float] = field(default_factory=dict)


class Advisor:
    """Finds pre-aggregations for logged statements of one model.

    Args:
        model: that the statements are for; what its own pre-aggregations answer is left out.
        make_compiler: the compiler of a model with others.
        settings: of the session that statements are compiled for.
        count_rows: asks a warehouse how many rows a statement has.
    """

    def __init__(
        self,
        model: Model,
        make_compiler: MakeCompiler,
        settings: SessionSettings,
        count_rows: CountRows,
    ) -> None:
        self._declared = model
        self._model = _with(model, {})
        self._make_compiler = make_compiler
        self._settings = settings
        self._count_rows = count_rows
        self._source_rows: dict[str, int] = {}

    async def suggest(self, logged: Sequence[Logged], most: int) -> list[Suggestion]:
        """The smallest set that saves most, the most useful first."""
        compiler = self._make_compiler(self._declared)
        declared = [name for name, each in compiler.rollups().items() if each.kind == "rollup"]
        logged = [each for each in logged if not self._read_by(compiler, declared, each.query)]
        shapes: dict[Shape, float] = {}
        for each in logged:
            for shape in self._needs(each.query):
                shapes[shape] = shapes.get(shape, 0.0) + each.seconds
        candidates = [_Candidate(shape) for shape in _with_unions(shapes)]
        for candidate in candidates:
            await self._measure(candidate, logged)
        total = sum(each.seconds for each in logged)
        chosen = _choose([each for each in candidates if each.saved], total, most)
        return _described(chosen, logged, set(compiler.rollups()))

    def _needs(self, query: CubeQuery) -> list[Shape]:
        """What pre-aggregations would have to hold to answer a statement, one for each cube."""
        found: list[Shape] = []
        for step in query.compiled.steps.walk():
            cube = self._model.cubes_by_name.get(step.relation)
            if step.kind != "Scan" or cube is None:
                continue
            shape = self._finest(cube, query, step.members)
            if shape is not None:
                found.append(shape)
        return found

    def _finest(self, cube: Cube, query: CubeQuery, members: Iterable[str]) -> Shape | None:
        """The shape with the coarsest granularity that still answers the statement."""
        own = [name.removeprefix(f"{cube.name}.") for name in members]
        measures = frozenset(name for name in own if name in {each.name for each in cube.measures})
        times = [
            each.name
            for each in cube.dimensions
            if isinstance(each, Dimension) and each.type == "time" and each.name in own
        ]
        dimensions = frozenset(own) - measures
        default = cube.default_time_dimension
        time = next(iter(times), None)
        if default is not None and default.path[-1] in times:
            time = default.path[-1]
        if not measures and not dimensions:
            return None
        shape = Shape(cube.name, measures, dimensions - {time or ""}, time)
        shapes = [replace(shape, grain=grain) for grain in range(len(GRAINS))]
        tried = shapes if time is not None else shapes[:1]
        names = self._read(query, tried)
        return None if not names else tried[min(names)]

    def _read(self, query: CubeQuery, shapes: Sequence[Shape]) -> set[int]:
        """Which of several shapes, the cheapest first, a statement would be answered from."""
        compiler, names = self._with_shapes(shapes)
        return {names.index(name) for name in self._read_by(compiler, names, query)}

    def _read_by(
        self, compiler: Compiler, names: Sequence[str], query: CubeQuery
    ) -> tuple[str, ...]:
        """Which pre-aggregations a statement reads if all of these are built, fewer rows first."""
        definitions = compiler.rollups()
        stored = tuple(
            StoredRollup(
                name,
                definitions[name].version,
                definitions[name].data_source,
                (StoredPart('"t"', None, None, number + 1, 0.0),),
            )
            for number, name in enumerate(names)
        )
        try:
            bound = compiler.bind(query.sql, self._settings)
            if bound is None:
                return ()
            compiled = compiler.compile(
                bound, query.analysis, self._settings, RollupCandidates(stored)
            )
        except SemanticError:
            return ()
        return compiled.rollups

    def _with_shapes(self, shapes: Sequence[Shape]) -> tuple[Compiler, list[str]]:
        added: dict[str, list[PreAggregation]] = {}
        for number, shape in enumerate(shapes):
            added.setdefault(shape.cube, []).append(shape.declared(f"suggested_{number}"))
        names = [f"{shape.cube}.suggested_{number}" for number, shape in enumerate(shapes)]
        return self._make_compiler(_with(self._model, added)), names

    async def _measure(self, candidate: _Candidate, logged: Sequence[Logged]) -> None:
        """Which statements a candidate answers, and what that saves."""
        shape = candidate.shape
        candidate.answers = tuple(
            number for number, each in enumerate(logged) if self._read(each.query, [shape])
        )
        if not candidate.answers:
            return
        compiler, (name,) = self._with_shapes([shape])
        build = compiler.build_rollup(name, None, None, self._settings)
        candidate.rows = await self._count_rows(build)
        candidate.source_rows = max(1, await self._rows_of(shape.cube))
        gain = max(0.0, 1 - candidate.rows / candidate.source_rows)
        if gain:
            candidate.saved = {
                number: gain * logged[number].seconds for number in candidate.answers
            }

    async def _rows_of(self, cube: str) -> int:
        """How many rows a cube has, by the moments and keys that tell them all apart."""
        if cube not in self._source_rows:
            keys = [
                each.name
                for each in self._model.cubes_by_name[cube].dimensions
                if isinstance(each, Dimension) and each.primary_key
            ]
            shape = Shape(cube, frozenset(), frozenset(keys))
            compiler, (name,) = self._with_shapes([shape])
            build = compiler.build_rollup(name, None, None, self._settings)
            self._source_rows[cube] = await self._count_rows(build)
        return self._source_rows[cube]


def _with(model: Model, added: Mapping[str, Sequence[PreAggregation]]) -> Model:
    """A model with these pre-aggregations and no others."""
    cubes = (
        replace(cube, pre_aggregations=tuple(added.get(cube.name, ()))) for cube in model.cubes
    )
    return replace(model, cubes=tuple(cubes))


def _with_unions(shapes: Mapping[Shape, float]) -> list[Shape]:
    """The shapes, the most costly statements' first, and what holds several of them."""
    alone = sorted(shapes, key=lambda shape: -shapes[shape])
    found = dict.fromkeys(alone)
    for first in alone:
        growing = first
        for other in alone:
            joined = growing.joined(other)
            if joined is None or other is first:
                continue
            pair = first.joined(other)
            if pair is not None:
                found[pair] = None
            growing = joined
            found[growing] = None
    return list(found)[:_MOST_CANDIDATES]


def _choose(candidates: Sequence[_Candidate], total: float, most: int) -> list[_Candidate]:
    """Take what saves most beyond what is taken, until little is left to save."""
    best: dict[int, float] = {}
    chosen: list[_Candidate] = []

    def gain(candidate: _Candidate) -> float:
        return sum(
            max(0.0, saved - best.get(number, 0.0)) for number, saved in candidate.saved.items()
        )

    while len(chosen) < most and candidates:
        top = max(candidates, key=lambda candidate: (gain(candidate), -candidate.rows))
        if gain(top) <= _LEAST_GAIN * total:
            break
        chosen.append(top)
        for number, saved in top.saved.items():
            best[number] = max(saved, best.get(number, 0.0))
    return chosen


def _described(
    chosen: Sequence[_Candidate], logged: Sequence[Logged], taken: set[str]
) -> list[Suggestion]:
    found: list[Suggestion] = []
    for each in chosen:
        found.append(
            Suggestion(
                each.shape,
                _name(each.shape, taken),
                sum(logged[number].times for number in each.answers),
                each.rows,
                each.source_rows,
                sum(logged[number].seconds for number in each.answers),
                sum(each.saved.values()),
            )
        )
    return found


def _name(shape: Shape, taken: set[str]) -> str:
    """A name after what it is grouped by, not yet taken."""
    words = sorted(name.replace(".", "_") for name in shape.dimensions)[:3]
    if shape.time is not None:
        words.append(GRAINS[shape.grain] or "moment")
    base = "by_" + "_".join(words) if words else "totals"
    name, number = base, 2
    while f"{shape.cube}.{name}" in taken:
        name, number = f"{base}_{number}", number + 1
    taken.add(f"{shape.cube}.{name}")
    return name


def _reference(name: str) -> Reference:
    return Reference(tuple(name.split(".")))
