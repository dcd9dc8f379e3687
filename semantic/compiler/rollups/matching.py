"""Tries to answer one grouping SELECT from one rollup."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sqlglot import exp

from semantic.compiler.aggregates import is_aggregate
from semantic.compiler.fences import RULED
from semantic.compiler.plan import (
    Derived,
    FunctionTable,
    Join,
    MeasureUse,
    Query,
    Relation,
    Scan,
    Select,
    Subquery,
    walk,
)
from semantic.compiler.rewrite.tools import everywhere, expressions_of, is_volatile
from semantic.compiler.rollups.api import StoredColumn
from semantic.compiler.rollups.available import Available
from semantic.compiler.rollups.blueprint import Key
from semantic.compiler.rollups.coverage import EVERYTHING, coverage
from semantic.compiler.rollups.edges import Edges
from semantic.compiler.rollups.elsewhere import (
    is_elsewhere,
    moved_measure,
    moved_rule,
    moves,
)
from semantic.compiler.rollups.moments import (
    Bound,
    can_tell,
    is_utc,
    read_bounds,
    span_of,
    written,
)
from semantic.compiler.rollups.regrouping import NoMatchError, Regrouping
from semantic.compiler.rollups.same_grain import is_same_grain
from semantic.compiler.rollups.stored_source import (
    Rules,
    outside,
    source_alias,
    stored_scan,
    with_source,
)
from semantic.compiler.rollups.trees import columns_of, frame_of
from semantic.compiler.trees import all_of, column, conjuncts, is_column_of, rebuild


@dataclass(frozen=True, slots=True)
class Matched:
    """A SELECT over a rollup instead of the source.

    Attributes:
        select: the new SELECT.
        rows: that it reads of the rollup.
        reads_source: whether rows of the source are read, too.
        joins_back: whether a cube is joined for what is not stored of it.
    """

    select: Select
    rows: int
    reads_source: bool
    joins_back: bool = False


def match(select: Select, scan: Scan, candidate: Available, zone: str, dialect: str) -> Matched:
    """The SELECT with the rollup's groups in place of a scan's rows.

    Args:
        select: a SELECT that groups, or whose rows are DISTINCT.
        scan: one of its FROM.
        candidate: the rollup.
        zone: the session's time zone.
        dialect: of the warehouse.

    Raises:
        NoMatchError: the rollup cannot answer it.
    """
    if select.group is None and not select.distinct:
        raise NoMatchError("the query reads rows, not groups")
    if not candidate.blueprint.frame.has_rows_of(frame_of(scan)):
        raise NoMatchError("its rows are others than those that the query reads")
    if select.source is None or not _keeps_rows(select.source, scan):
        raise NoMatchError("an outer join adds rows to those of the cube")
    regrouping = Regrouping(scan, candidate.blueprint, zone, dialect)
    return _Match(select, scan, candidate, regrouping).make()


class _Match:
    def __init__(
        self, select: Select, scan: Scan, candidate: Available, regrouping: Regrouping
    ) -> None:
        self._select = select
        self._scan = scan
        self._candidate = candidate
        self._blueprint = candidate.blueprint
        self._regrouping = regrouping
        self._is_elsewhere = is_elsewhere(candidate.blueprint, regrouping.dialect)
        # Bounds of the time that partitions are cut by, and those that cut through periods.
        self._range = EVERYTHING
        self._cuts: list[Bound] = []

    def make(self) -> Matched:
        where = self._where()
        select = self._rewritten(where)
        missing = self._regrouping.missing
        if missing:
            added = ", ".join(name for name, change in missing.items() if not change)
            changes = [f"add {added} to {self._candidate.name}"] if added else []
            changes += dict.fromkeys(change for change in missing.values() if change)
            raise NoMatchError(f"it does not store {', '.join(missing)}", "; ".join(changes))
        found, reads_source = self._source()
        rewritten = _replaced(select.source, self._scan, found) if select.source else found
        rows = sum(part.rows for part in self._covered.parts)
        joins_back = bool(self._regrouping.join_back.columns)
        return Matched(replace(select, source=rewritten), rows, reads_source, joins_back)

    def _where(self) -> exp.Expr | None:
        """WHERE over the groups, without the bounds that FROM has to see to."""
        kept: list[exp.Expr] = []
        for condition in conjuncts(self._select.where):
            if not self._cuts_periods(condition):
                kept.append(self._regrouping.value(condition))
        self._covered = coverage(self._candidate.parts, self._range)
        if self._candidate.complete:
            self._covered = replace(self._covered, gaps=())
        if self._covered.gaps and not self._candidate.union_with_source:
            raise NoMatchError(
                "what is built does not cover the time that is asked for",
                "build the rest, filter on its time, or set union_with_source_data",
            )
        if not self._covered.parts:
            raise NoMatchError("nothing is built of the time that is asked for")
        return all_of(kept)

    def _cuts_periods(self, condition: exp.Expr) -> bool:
        """Take note of bounds of time; whether they have to be seen to before grouping."""
        bounds = read_bounds(condition)
        keys = self._regrouping.time_keys(bounds[0].column) if bounds else []
        if not keys:
            return False
        if keys[0].column.role == "time":
            for bound in bounds:
                self._narrow(bound, keys[0])
        if keys[0].grain is None:
            return False
        if all(self._regrouping.aligned(bound) is not None for bound in bounds):
            return False
        self._cuts += bounds
        return True

    def _narrow(self, bound: Bound, key: Key) -> None:
        time = self._blueprint.time
        if time is None or time.value != key.value:
            return
        self._range = self._range.meet(span_of(bound, key.type, self._regrouping.zone))

    def _edges(self) -> Edges | None:
        if not self._cuts:
            return None
        node = self._cuts[0].column
        keys = self._regrouping.time_keys(node)
        zone = self._regrouping.zone
        for key in keys:
            same = all(bound.column == node for bound in self._cuts)
            if key.grain is None or not same:
                continue
            if not can_tell(key.grain, key.grain, key.type, zone):
                continue
            plain = key.type.name == "timestamptz" or is_utc(zone)
            if not plain and any(written(b.value, key.type) is None for b in self._cuts):
                continue
            return Edges(key, key.grain, tuple(self._cuts))
        raise NoMatchError(
            "the time that is asked for cuts through its periods",
            "ask for whole periods, or store finer ones",
        )

    def _rewritten(self, where: exp.Expr | None) -> Select:
        """The SELECT with expressions over groups; its FROM still has the scan."""
        select, regrouping = self._select, self._regrouping
        if any(is_volatile(tree) for node in walk(select) for tree in expressions_of(node)):
            raise NoMatchError("a function in it gives another value for each row")
        if select.group is None and (select.windows or select.distinct_on or select.measures):
            raise NoMatchError("the query reads rows, not groups")
        group = None if select.group is None else tuple(map(regrouping.value, select.group))
        regrouping.is_same_grain = is_same_grain(
            self._blueprint, self._scan.alias, group, where, regrouping.zone
        )
        after = regrouping.value if group is None else regrouping.after_grouping
        if group is None:
            for item in select.projections:
                _refuse_aggregates(item.expression)
        return replace(
            select,
            projections=tuple(
                replace(item, expression=after(item.expression)) for item in select.projections
            ),
            source=None if select.source is None else self._below(select.source),
            where=where,
            group=group,
            having=None if select.having is None else after(select.having),
            windows=tuple((name, self._named_window(node)) for name, node in select.windows),
            distinct_on=tuple(map(after, select.distinct_on)),
            order=tuple(replace(key, expression=after(key.expression)) for key in select.order),
            measures=tuple(map(self._measure, select.measures)),
            subqueries=tuple(self._nested(item) for item in select.subqueries),
        )

    def _named_window(self, node: exp.Expr) -> exp.Expr:
        after = self._regrouping.after_grouping

        def change(key: str, value: object) -> object:
            if key == "this":
                return value
            if isinstance(value, list):
                return [after(item) for item in value]
            return after(value) if isinstance(value, exp.Expr) else value

        return node.__class__(**{key: change(key, value) for key, value in node.args.items()})

    def _below(self, relation: Relation) -> Relation:
        """FROM with the conditions and arguments that speak of the scan's columns."""
        if relation is self._scan or isinstance(relation, Scan):
            return relation
        if isinstance(relation, Join):
            value = self._regrouping.value
            own = relation.model_condition
            return replace(
                relation,
                left=self._below(relation.left),
                right=self._below(relation.right),
                condition=None if relation.condition is None else value(relation.condition),
                model_condition=None if own is None else self._model_condition(own),
            )
        if isinstance(relation, FunctionTable):
            return replace(
                relation,
                arguments=tuple(map(self._regrouping.value, relation.arguments)),
                subqueries=tuple(self._nested(item) for item in relation.subqueries),
            )
        if isinstance(relation, Derived) and relation.lateral:
            return replace(relation, query=self._correlated(relation.query))
        return relation

    def _measure(self, use: MeasureUse) -> MeasureUse:
        made = self._regrouping.measure(use)
        if use.alias != self._scan.alias or not self._is_elsewhere:
            return made
        moved = moved_measure(made, self._regrouping.dialect)
        if moved is None:
            raise NoMatchError(f"{use.name} is SQL of the warehouse, and it is kept elsewhere")
        return moved

    def _model_condition(self, own: exp.Expr) -> exp.Expr:
        made = self._native(own)
        if self._is_elsewhere and not moves(made):
            raise NoMatchError("a join is SQL of the warehouse, and it is kept elsewhere")
        return made

    def _native(self, tree: exp.Expr) -> exp.Expr:
        """A condition in the warehouse's dialect, where only columns are what they are here."""
        value = self._regrouping.value

        def replaced(node: exp.Expr) -> exp.Expr | None:
            return value(node) if is_column_of(node, self._scan.alias) else None

        return rebuild(tree, replaced)

    def _nested(self, item: Subquery) -> Subquery:
        query = self._correlated(item.query)
        return item if query is item.query else replace(item, query=query)

    def _correlated(self, node: Query) -> Query:
        """A query below the SELECT, which may speak of the scan's columns as values of a row."""
        alias = self._scan.alias
        speaks = False
        for item in walk(node):
            if isinstance(item, Select) and any(use.alias == alias for use in item.measures):
                raise NoMatchError("a subquery aggregates its rows")
            for tree in expressions_of(item):
                if next(columns_of(tree, alias), None) is None:
                    continue
                speaks = True
                for call in tree.walk():
                    if is_aggregate(call) and next(columns_of(call, alias), None) is not None:
                        raise NoMatchError("a subquery aggregates its rows")
        return everywhere(node, self._regrouping.value) if speaks else node

    def _source(self) -> tuple[Relation, bool]:
        """What stands in FROM for the scan, and whether it reads the source."""
        alias, regrouping, covered = self._scan.alias, self._regrouping, self._covered
        edges = self._edges()
        derived = regrouping.derived
        keys = {**regrouping.keys, **derived.keys}
        keys |= {edges.key.column.name: edges.key} if edges else {}
        kept = tuple(key for key in self._blueprint.keys if key.column.name in keys)
        parts = tuple(p for p in self._blueprint.parts if p.column.name in regrouping.parts)
        columns = (*(item.column for item in kept), *(item.column for item in parts))
        reads_source = edges is not None or bool(covered.gaps)
        own = f"{alias}:rollup" if reads_source else alias
        rules, blueprint = self._rules(), self._blueprint

        def stored(columns: tuple[StoredColumn, ...]) -> Scan:
            tables, dialect = covered.parts, regrouping.dialect
            scan = stored_scan(self._scan, own, blueprint, tables, columns, rules, dialect)
            columns_made = (*scan.columns, *derived.columns_over(own))
            return replace(scan, rollup=self._candidate.name, columns=columns_made)

        joined = regrouping.join_back.columns
        if joined and (reads_source or blueprint.definition.site != self._scan.data_source):
            reason = "rows of the source would have to be joined, too"
            raise NoMatchError(reason, f"store {', '.join(joined)}")
        if not reads_source:
            return regrouping.join_back.joined(stored(columns)), False
        if derived.values and self._is_elsewhere:
            raise NoMatchError("rows of the source would have to be masked, too")
        if len(self._scan.filters) > len(blueprint.frame.filters):
            raise NoMatchError("the rules of a view would have to hold for the source, too")
        time = edges.key if edges is not None else blueprint.time
        if time is None:
            raise NoMatchError("what is built does not cover all rows")
        if time not in kept:
            kept, columns = (*kept, time), (*columns, time.column)
        rest = self._rest(edges, column(source_alias(alias), time.column.name), time)
        interior = None
        if edges is not None:
            interior = edges.interior(column(own, time.column.name))
        made = tuple(derived.values.values())
        rows = self._scan
        found = with_source(rows, stored(columns), blueprint, kept, parts, made, rest, interior)
        return found, True

    def _rules(self) -> Rules:
        """The conditions on the rows that a caller may see, or that a view has."""
        extra = frame_of(self._scan).filters - self._blueprint.frame.filters
        rules = [self._regrouping.rule(item, RULED) for item in sorted(extra, key=repr)]
        if self._is_elsewhere:
            kinds = {key.column.name: key.type for key in self._blueprint.keys}
            moved = [moved_rule(rule, kinds) for rule in rules]
            rules = [rule for rule in moved if rule is not None]
            if len(rules) < len(moved):
                raise NoMatchError("a rule of a policy or view cannot be applied where it is kept")
        # Where another engine reads the tables, no value is derived by a flag.
        flags = self._regrouping.derived.flags.items()
        return Rules(
            all_of(rules), {name: self._regrouping.rule(item, RULED) for name, item in flags}
        )

    def _rest(self, edges: Edges | None, time: exp.Expr, key: Key) -> exp.Expr:
        """Which rows are read from the source."""
        gaps = self._covered.gaps
        missing: list[exp.Expr] = []
        if gaps:
            if self._blueprint.time is None or self._blueprint.time.value != key.value:
                raise NoMatchError("the time that is asked for is not the one of its partitions")
            missing.append(outside(gaps, time, key.type))
        if edges is None:
            return missing[0]
        missing.append(edges.cut(time))
        either = missing[0]
        for other in missing[1:]:
            either = exp.Or(this=either, expression=other)
        within = edges.within(time)
        conditions = [item for item in (within, exp.Paren(this=either)) if item is not None]
        return all_of(conditions) or exp.true()


def _keeps_rows(relation: Relation, scan: Scan) -> bool:
    """Whether no join adds a row without one of the scan."""
    if relation is scan:
        return True
    if not isinstance(relation, Join):
        return False
    if _holds(relation.left, scan):
        return relation.kind in ("INNER", "LEFT", "CROSS") and _keeps_rows(relation.left, scan)
    return relation.kind in ("INNER", "RIGHT", "CROSS") and _keeps_rows(relation.right, scan)


def _holds(relation: Relation, scan: Scan) -> bool:
    if isinstance(relation, Join):
        return _holds(relation.left, scan) or _holds(relation.right, scan)
    return relation is scan


def _replaced(relation: Relation, old: Scan, new: Relation) -> Relation:
    if relation is old:
        return new
    if isinstance(relation, Join):
        return replace(
            relation,
            left=_replaced(relation.left, old, new),
            right=_replaced(relation.right, old, new),
        )
    return relation


def _refuse_aggregates(node: exp.Expr) -> None:
    if any(is_aggregate(item) or isinstance(item, exp.Window) for item in node.walk()):
        raise NoMatchError("the query reads rows, not groups")
