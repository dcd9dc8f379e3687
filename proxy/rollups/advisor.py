"""Weighs what the compiler suggests for a log by the rows it would have.

What statements need, and which few rollups serve them all, is pure (``semantic.compiler.rollups``);
whether one is worth its upkeep depends on the data, so its rows are counted in the warehouse.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from semantic.compiler.api import CompiledStatement, SessionSettings
from semantic.compiler.compiler import Compiler
from semantic.compiler.rollups.advise import LoggedStatement, Suggestion, covers, suggest
from semantic.compiler.rollups.needs import Need
from semantic.errors import SemanticError
from semantic.model.model import Model
from semantic.model.preaggregation import PreAggregation, RollupTime
from semantic.model.relations import Cube
from semantic.model.template import Reference

_LEAST_GAIN = 0.05
"""Of a statement's rows, or of all logged time: what is saved at least, to be worth its upkeep."""
_NAME = "suggested"

MakeCompiler = Callable[[Model], Compiler]
CountRows = Callable[[CompiledStatement], Awaitable[int]]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A suggestion and what it is worth.

    Attributes:
        rows: that it would store.
        source_rows: that its cube has.
        saved: of its statements' time, if time goes with rows.
    """

    suggestion: Suggestion
    rows: int
    source_rows: int

    @property
    def saved(self) -> float:
        """Seconds."""
        return self.suggestion.seconds * _gain(self.rows, self.source_rows)


class Advisor:
    """Finds pre-aggregations for logged statements of one model.

    Args:
        model: that the statements are for; what its own pre-aggregations serve is left out.
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
        self._model = model
        self._make_compiler = make_compiler
        self._settings = settings
        self._count_rows = count_rows
        self._rows: dict[Need, int] = {}
        self._declared = tuple(declared_needs(model))

    async def suggest(self, logged: Sequence[LoggedStatement], most: int) -> list[Estimate]:
        """The smallest set that serves what is worth it, what saves most first."""
        wanted = [each for each in logged if await self._is_worth(each)]
        total = sum(each.seconds for each in wanted)
        found = [await self._estimate(each) for each in suggest(wanted, most)]
        found = [each for each in found if each.saved > _LEAST_GAIN * total]
        return sorted(found, key=lambda each: -each.saved)

    async def _is_worth(self, statement: LoggedStatement) -> bool:
        """Whether a rollup of its own would have far fewer rows, and none is declared yet."""
        if not statement.needs or all(
            any(covers(own, need) for own in self._declared) for need in statement.needs
        ):
            return False
        gains = [
            _gain(await self._rows_of(need), await self._source_rows(need.cube))
            for need in statement.needs
        ]
        return min(gains) > _LEAST_GAIN

    async def _estimate(self, suggestion: Suggestion) -> Estimate:
        stores = suggestion.stores
        taken = {each.name for each in self._model.cubes_by_name[stores.cube].pre_aggregations}
        name, number = suggestion.name, 2
        while name in taken:
            name, number = f"{suggestion.name}_{number}", number + 1
        rows, source = await self._rows_of(stores), await self._source_rows(stores.cube)
        return Estimate(replace(suggestion, name=name), rows, source)

    async def _rows_of(self, need: Need) -> int:
        """How many rows a rollup has; as many as can be where it cannot be built."""
        if need not in self._rows:
            cubes = tuple(
                replace(cube, pre_aggregations=(_item(need),) if cube.name == need.cube else ())
                for cube in self._model.cubes
            )
            compiler = self._make_compiler(replace(self._model, cubes=cubes))
            try:
                name = f"{need.cube}.{_NAME}"
                build = compiler.build_rollup(name, None, None, self._settings)
                self._rows[need] = await self._count_rows(build)
            except SemanticError:
                self._rows[need] = 2**63
        return self._rows[need]

    async def _source_rows(self, cube: str) -> int:
        """How many rows a cube has, by the key that tells them apart."""
        keys = [
            each.name for each in self._model.cubes_by_name[cube].dimensions if each.primary_key
        ]
        return await self._rows_of(Need(cube, frozenset(keys))) if keys else 2**63


def declared_needs(model: Model) -> list[Need]:
    """What a model's own pre-aggregations store."""
    return [
        _stored(cube, item)
        for cube in model.cubes
        for item in cube.pre_aggregations
        if item.type == "rollup"
    ]


def _stored(cube: Cube, item: PreAggregation) -> Need:
    def names(references: Sequence[Reference]) -> frozenset[str]:
        return frozenset(str(each).removeprefix("CUBE.") for each in references)

    times = ((names([each.dimension]), each.granularity) for each in item.time_dimensions)
    return Need(
        cube.name,
        names(item.dimensions),
        names(item.segments),
        names(item.measures),
        frozenset((name, unit) for found, unit in times for name in found),
    )


def _item(need: Need) -> PreAggregation:
    return PreAggregation(
        _NAME,
        measures=_references(need.measures),
        dimensions=_references(need.dimensions),
        segments=_references(need.segments),
        time_dimensions=tuple(
            RollupTime(Reference(tuple(name.split("."))), unit)
            for name, unit in sorted(need.times, key=str)
        ),
    )


def _references(names: frozenset[str]) -> tuple[Reference, ...]:
    return tuple(Reference(tuple(name.split("."))) for name in sorted(names))


def _gain(rows: int, source_rows: int) -> float:
    return max(0.0, 1 - rows / max(1, source_rows))


def yaml_lines(mapping: Mapping[str, object], indent: int) -> list[str]:
    """One pre-aggregation as an item of the YAML list ``pre_aggregations``."""
    lines = [
        f"{key}: [{', '.join(map(str, value))}]" if isinstance(value, list) else f"{key}: {value}"
        for key, value in mapping.items()
    ]
    space = " " * indent
    return [f"{space}- {lines[0]}", *(f"{space}  {line}" for line in lines[1:])]
