"""The model as PostgreSQL clients see it: relations, columns, types, keys and comments (R3, R4)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from sqlglot import exp

from semantic.compiler.conformed import conformed_targets
from semantic.compiler.dialect import within_moment
from semantic.compiler.expressions import features_of
from semantic.compiler.expressions.types import INTEGERS
from semantic.compiler.granularities import column_name, period_column_type
from semantic.compiler.model_sql import ModelSql, path_of
from semantic.compiler.names import truncate
from semantic.compiler.plan_types import common_type
from semantic.compiler.trees import conjuncts
from semantic.errors import SemanticError
from semantic.model.members import Dimension, Measure, Member, Segment
from semantic.model.model import MemberTarget, Model, ResolutionError
from semantic.model.published import (
    PublishedColumn,
    PublishedForeignKey,
    PublishedModel,
    PublishedRelation,
    input_name,
)
from semantic.model.relations import Cube, Join, View, ViewMember
from semantic.model.types import (
    BOOL,
    FLOAT4,
    FLOAT8,
    INT8,
    INTERVAL,
    NUMERIC,
    TEXT,
    TIMESTAMP,
    TIMESTAMPTZ,
    UNKNOWN,
    PostgresType,
)

Probed = Mapping[str, Sequence[tuple[str, str, int]]]

_BY_DECLARATION = {
    "string": TEXT,
    "number": NUMERIC,
    "boolean": BOOL,
    "time": TIMESTAMP,
    "geo": TEXT,
    "switch": TEXT,
    "rank": INT8,
    "number_agg": NUMERIC,
}


def publish(
    model: Model, probed: Probed, dialects: Mapping[str, str] | None = None
) -> PublishedModel:
    """What clients are shown of a model.

    Args:
        model: the model.
        probed: (column, typname, modifier) of each probe's result, by relation.
        dialects: as for ``Compiler``; only used to read join conditions.
    """
    publisher = _Publisher(model, probed, ModelSql(model, dialects or {"default": "duckdb"}))
    relations = [publisher.cube(cube) for cube in model.cubes if cube.public]
    relations += [publisher.view(view) for view in model.views if view.public]
    return PublishedModel(model.version, tuple(relations), tuple(publisher.types()))


class _Publisher:
    def __init__(self, model: Model, probed: Probed, sql: ModelSql) -> None:
        self._model = model
        self._sql = sql
        self._plain: dict[str, list[tuple[str, str]]] = {}
        self._types = {
            (relation, name): PostgresType(kind, modifier)
            for relation, columns in probed.items()
            for name, kind, modifier in columns
        }

    def types(self) -> Iterator[tuple[str, str, PostgresType]]:
        """The types of all members of cubes, and of the views' own."""
        for cube in self._model.cubes:
            for member in cube.members.values():
                yield cube.name, member.name, self._type(cube.name, member)
                yield from self._input(cube.name, member)
        for view in self._model.views:
            for name, item in view.columns.items():
                if not isinstance(item, ViewMember):
                    yield view.name, name, self._type(view.name, item)
                    yield from self._input(view.name, item)

    def _input(self, relation: str, member: Member) -> Iterator[tuple[str, str, PostgresType]]:
        """The type of what a measure aggregates, where the warehouse has told it."""
        probed = self._types.get((relation, member.name), UNKNOWN)
        if isinstance(member, Measure) and not member.is_calculated and probed.name != "unknown":
            yield relation, input_name(member.name), probed

    def cube(self, cube: Cube) -> PublishedRelation:
        visible = [member for member in cube.members.values() if member.public]
        names = {member.name for member in visible}
        key = tuple(item.name for item in cube.primary_key)
        return PublishedRelation(
            cube.name,
            "cube",
            tuple(self._columns(cube, visible)),
            key if key and names.issuperset(key) else (),
            tuple(self._foreign_keys(cube, names)),
            _describe(cube.title, cube.description),
        )

    def view(self, view: View) -> PublishedRelation:
        columns: list[PublishedColumn] = []
        for name, member in view.columns.items():
            if not member.public:
                continue
            if isinstance(member, ViewMember):
                target = self._model.cubes_by_name[member.cube].members[member.member]
                kind = self._type(member.cube, target)
                title = member.title or target.title
                text = _comment(target, title, member.description or target.description)
                columns.append(PublishedColumn(name, kind, member.kind, text))
                columns += self._periods(member.cube, target, columns[-1], view.columns)
            else:
                columns.append(self._column(view.name, member, name))
        last = sum(column.kind == "dimension" for column in columns)
        columns[last:last] = self._conformed(view)
        return PublishedRelation(
            view.name, "view", tuple(columns), comment=_describe(view.title, view.description)
        )

    def _conformed(self, view: View) -> Iterator[PublishedColumn]:
        """One column for the same dimension of several facts, in a type that holds them all."""
        for item in view.conformed:
            targets = conformed_targets(self._model, view, item)
            kinds = [self._type(target.cube, target.member) for target in targets]
            member = targets[0].member
            text = _comment(member, member.title, member.description)
            yield PublishedColumn(item.name, common_type(kinds), "dimension", text)

    def _columns(self, cube: Cube, visible: Sequence[Member]) -> Iterator[PublishedColumn]:
        for member in visible:
            column = self._column(cube.name, member, member.name)
            yield column
            yield from self._periods(cube.name, member, column, cube.members)

    def _periods(
        self, cube: str, member: Member, column: PublishedColumn, taken: Collection[str]
    ) -> Iterator[PublishedColumn]:
        """The columns of a time dimension's custom granularities (T2)."""
        if not isinstance(member, Dimension):
            return
        for item in member.granularities:
            name = column_name(column.name, item.name)
            if name in taken or truncate(name) != name:
                # In a view, where members have other names than in their cube.
                continue
            kind = period_column_type(member, item, column.type)
            probed = self._types.get((cube, column_name(member.name, item.name)), UNKNOWN)
            if item.sql is not None and probed.name != "unknown":
                kind = probed
            title = item.title or f"{member.title or member.name} by {item.name}"
            yield PublishedColumn(
                name, kind, "dimension", f"[dimension] {title}", (column.name, item.name)
            )

    def _column(self, relation: str, member: Member, name: str) -> PublishedColumn:
        comment = _comment(member, member.title, member.description)
        return PublishedColumn(name, self._type(relation, member), member.kind, comment)

    def _probed(self, relation: str, member: Member) -> PostgresType:
        """What the warehouse says; where it has no booleans, as the model declares them."""
        probed = self._types.get((relation, member.name), UNKNOWN)
        if probed.name == "unknown":
            return UNKNOWN
        if probed.name in INTEGERS and getattr(member, "type", "") == "boolean":
            found = self._model.relation(relation)
            source = self._sql.root_of(found).data_source if found is not None else ""
            if not features_of(self._sql.dialect(source)).booleans:
                return BOOL
        return probed

    def _type(self, relation: str, member: Member) -> PostgresType:
        probed = self._probed(relation, member)
        if isinstance(member, Segment):
            return BOOL
        if isinstance(member, Dimension):
            if member.data_type is not None:
                return member.data_type
            if member.time_zone is not None:
                return TIMESTAMPTZ
            counted = self._only_measure(relation, member) if member.sub_query else None
            if counted is not None:
                return self._type(*counted)
            return _BY_DECLARATION[member.type] if probed == UNKNOWN else probed
        alone = self._only_measure(relation, member)
        if alone is not None and member.is_calculated and member.type in {"number", "number_agg"}:
            return self._type(*alone)
        if alone is not None and member.multi_stage:
            # It aggregates that measure's values.
            probed = self._type(*alone)
        return measure_type(member, probed)

    def _only_measure(
        self, relation: str, member: Measure | Dimension
    ) -> tuple[str, Measure] | None:
        """The measure that is all of a member's SQL, and its cube or view."""
        sql = member.sql
        if sql is None or len(sql.references) != 1:
            return None
        rest = [part for part in sql.parts if isinstance(part, str) and part.strip()]
        if rest:
            return None
        try:
            target = self._model.resolve(relation, sql.references[0])
        except ResolutionError:
            return None
        if isinstance(target, MemberTarget) and isinstance(target.member, Measure):
            return target.cube, target.member
        return None

    def _foreign_keys(self, cube: Cube, names: set[str]) -> Iterator[PublishedForeignKey]:
        for join in cube.joins:
            target = self._model.cubes_by_name[join.target]
            if join.relationship != "many_to_one" or not target.public or join.valid is not None:
                continue
            key = [item.name for item in target.primary_key]
            pairs = self._pairs(cube, join, target, names)
            if pairs and key and {right for _, right in pairs} == set(key):
                if not all(target.members[name].public for name in key):
                    continue
                yield PublishedForeignKey(
                    f"{cube.name}_{join.name}_fkey",
                    tuple(left for left, _ in pairs),
                    target.name,
                    tuple(right for _, right in pairs),
                )

    def _pairs(
        self, cube: Cube, join: Join, target: Cube, names: set[str]
    ) -> list[tuple[str, str]]:
        """The pairs of plain columns that a join equates; empty where it does anything else."""
        try:
            condition = self._sql.join_condition(cube, join)
        except SemanticError:
            return []
        plain = self._plain_columns(cube)
        # Of several dimensions over one column the first counts.
        own = {base: name for base, name in reversed(plain) if name in names}
        others = dict(reversed(self._plain_columns(target)))
        pairs: list[tuple[str, str]] = []
        for node in conjuncts(condition):
            sides = {
                path_of(side): side.name
                for side in (_bare(node.this), _bare(node.expression))
                if isinstance(node, exp.EQ) and isinstance(side, exp.Column)
            }
            left, right = own.get(sides.get((), "")), others.get(sides.get((join.name,), ""))
            if left is None or right is None:
                return []
            pairs.append((left, right))
        return pairs

    def _plain_columns(self, cube: Cube) -> list[tuple[str, str]]:
        """Dimensions that are nothing but a column of the base table, each behind its column."""
        found = self._plain.get(cube.name)
        if found is not None:
            return found
        found = self._plain[cube.name] = []
        for dimension in cube.dimensions:
            try:
                tree = _bare(self._sql.dimension(cube, dimension))
            except SemanticError:
                continue
            if isinstance(tree, exp.Column) and path_of(tree) == ():
                found.append((tree.name, dimension.name))
        return found


def measure_type(measure: Measure, probed: PostgresType) -> PostgresType:
    """The type of a measure, from the type of what it aggregates, by PostgreSQL's rules."""
    name = probed.name
    if measure.type == "rank":
        return INT8
    if measure.conversion is not None:
        return FLOAT8 if measure.conversion.calculation == "rate" else INT8
    if measure.type.startswith("count"):
        return NUMERIC if _is_averaged(measure) else INT8
    if measure.is_calculated:
        if measure.type in {"string", "boolean"} or probed == UNKNOWN:
            return _BY_DECLARATION[measure.type]
        return probed
    if measure.type == "median" or (measure.type == "percentile" and not measure.discrete):
        return INTERVAL if name == "interval" else FLOAT8
    if probed == UNKNOWN:
        return NUMERIC
    if _is_averaged(measure):
        if probed in {FLOAT4, FLOAT8}:
            return FLOAT8
        return INTERVAL if name == "interval" else NUMERIC
    if measure.type == "sum":
        if name in {"int2", "int4"}:
            return INT8
        return probed if probed in {FLOAT4, FLOAT8, INTERVAL} else NUMERIC
    if measure.type == "avg":
        if probed in {FLOAT4, FLOAT8}:
            return FLOAT8
        return INTERVAL if name == "interval" else NUMERIC
    return probed if probed.modifier < 0 else PostgresType(name)


def _is_averaged(measure: Measure) -> bool:
    """Whether a measure is an average of its own values, along a dimension or over a period."""
    if measure.rolling_window is not None and measure.period_agg == "avg":
        return True
    return measure.non_additive is not None and measure.non_additive.choice == "avg"


def _bare(node: exp.Expr) -> exp.Expr:
    while isinstance(node, exp.Paren | exp.Cast):
        node = node.this
    return within_moment(node)


def _comment(member: Member, title: str | None, description: str | None) -> str:
    kind = f"measure·{member.type}" if isinstance(member, Measure) else member.kind
    text = _describe(title, description)
    return f"[{kind}] {text}" if text else f"[{kind}]"


def _describe(title: str | None, description: str | None) -> str | None:
    if title and description:
        return f"{title}: {description}"
    return title or description
