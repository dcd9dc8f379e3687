"""Protects measures from joins that repeat their rows (rule J2): what to count once, and by what.

A measure is aggregated over the distinct rows of its own cube, by primary key. Here it is decided
for one SELECT which aggregates need that; ``semantic.compiler.lower.deduplicate`` does it.
"""

from __future__ import annotations

from sqlglot import exp

from semantic.compiler.aggregates import aggregate_name
from semantic.compiler.model_sql import no_primary_key
from semantic.compiler.multiplicity import Multiplicity
from semantic.compiler.plan import RowKey
from semantic.compiler.positions import position_of
from semantic.compiler.scope import Source, VisibleColumn
from semantic.compiler.select_state import GROUP_SETS, SelectState
from semantic.errors import UnsupportedError


class FanOut:
    """The measures of one SELECT whose rows a join may repeat."""

    def __init__(self, state: SelectState) -> None:
        self._state = state
        # Made when it is asked for, once all names are resolved.
        self._multiplicity: Multiplicity | None = None
        # Plain aggregates over measures' values of rows, by node, with the measures.
        self._row_aggregates: dict[int, list[VisibleColumn]] = {}
        self._apart: dict[int, exp.Expr] = {}
        # Aggregates of columns that a measure beside them would make count rows several times.
        self._plain: set[int] = set()

    def check(self) -> None:
        """Look at everything that is aggregated.

        Raises:
            UnsupportedError: rows may be repeated and cannot be told apart.
        """
        resolver = self._state.resolver
        seen: set[int] = set()
        for visible, node in resolver.aggregated:
            if id(node) in resolver.evaluations or id(node.parent) in resolver.evaluations:
                self._check_evaluation(visible, node)
            elif id(node) not in seen:
                seen.add(id(node))
                self._check_row_aggregate(node)
        self._check_plain_aggregates()

    def repeated_by(self, visible: VisibleColumn) -> str | None:
        """What may repeat the rows of a measure, here or where it is handed up."""
        return self.beside(visible) or visible.source.repeated_by(visible)

    def beside(self, visible: VisibleColumn) -> str | None:
        """What else in FROM may repeat the rows of a measure's source."""
        state = self._state
        if len(state.scope.sources) < 2:
            return None
        if self._multiplicity is None:
            self._multiplicity = Multiplicity(state.from_clause, state.where, state.resolver)
        other = self._multiplicity.repeating(visible.source)
        return None if other is None else other.name

    def row_keys(self, visible: VisibleColumn) -> tuple[RowKey, ...]:
        """How to count each row of a measure once; nothing where none is repeated."""
        measure = visible.measure
        if measure is None or not measure.definition.duplicates_matter:
            return ()
        beside = self.beside(visible) is not None
        if not beside and visible.source.repeated_by(visible) is None:
            return ()
        return visible.source.row_keys(visible, repeated=beside)

    def row_aggregate(self, node: exp.Expr) -> tuple[Source, RowKey] | None:
        """How to count each row once in an aggregate of values of rows.

        Returns: a source, and the key of its rows; None for any other node.
        """
        if id(node) in self._plain:
            key = self.relation_key()
            return None if key is None else (self._state.scope.sources[0], key)
        used = self._row_aggregates.get(id(node))
        if used is None:
            return None
        columns: list[exp.Expr] = []
        for visible in used:
            for key in visible.source.row_keys(visible, repeated=True):
                columns += [item for item in key.columns if item not in columns]
        apart = self._apart.get(id(node))
        return used[0].source, RowKey(tuple(columns), None, () if apart is None else (apart,))

    def _check_evaluation(self, visible: VisibleColumn, node: exp.Expr) -> None:
        measure = visible.measure
        if measure is None or not measure.definition.duplicates_matter:
            return
        if self.repeated_by(visible) is not None:
            self._check_keys(visible, node, values=False)

    def _check_plain_aggregates(self) -> None:
        """Aggregates of columns are over the relation's rows, whatever a measure is made of."""
        sources = self._state.scope.sources
        found = (source.multiplied_by for source in sources)
        name = next((name for name in found if name is not None), None)
        if name is None:
            return
        for node in self._state.resolver.plain_aggregates:
            if _ignores_duplicates(node):
                continue
            if self._state.from_clause.facts or self.relation_key() is None:
                raise UnsupportedError(
                    f"{aggregate_name(node).upper()} beside {name}, which is made of cubes that "
                    "are joined to many rows, is not supported here",
                    hint="Aggregate in two grouped subqueries and join them.",
                    position=position_of(node),
                )
            self._plain.add(id(node))

    def relation_key(self) -> RowKey | None:
        """What tells the rows of FROM apart as they are without what measures need."""
        keys = [source.relation_key() for source in self._state.scope.sources]
        columns = [item for key in keys if key is not None for item in key.columns]
        return RowKey(tuple(columns)) if columns and all(keys) else None

    def _check_row_aggregate(self, node: exp.Expr) -> None:
        resolver = self._state.resolver
        condition = _only_condition(node)
        found = self._columns(node)
        used = [visible for visible in found if visible.is_measure]
        if condition is not None:
            # Rows are those of the measures that are counted, not of those that decide which are.
            counted = self._columns(node.this.args["ifs"][0].args["true"])
            used = [item for item in counted if item.is_measure] or used
        others = [name for visible in used if (name := self.repeated_by(visible)) is not None]
        if not others or _ignores_duplicates(node):
            return
        if not self._state.scope.grouped:
            raise UnsupportedError(
                f'measure "{used[0].name}" cannot be aggregated over a window here: joining '
                f'"{others[0]}" may repeat its rows',
                hint="Aggregate the measure in a grouped subquery and join that.",
                position=position_of(node),
            )
        for visible in used:
            self._check_keys(visible, node, values=True)
        loose = [visible for visible in found if not self._is_settled(visible, used)]
        if loose or node.find(exp.Query) is not None:
            inside = [] if condition is None else list(condition.walk())
            outside = [
                child
                for child in node.walk()
                if not any(child is item for item in inside)
                and (
                    isinstance(child, exp.Query)
                    or any(resolver.columns.get(id(child)) is item for item in loose)
                )
            ]
            if condition is None or outside or condition.find(exp.Query) is not None:
                raise self._ambiguous(node, used[0], loose)
            self._apart[id(node)] = condition
        self._row_aggregates[id(node)] = used

    def _columns(self, node: exp.Expr) -> list[VisibleColumn]:
        columns = self._state.resolver.columns
        found = (columns.get(id(child)) for child in node.walk())
        return [visible for visible in found if visible is not None]

    def _is_settled(self, visible: VisibleColumn, used: list[VisibleColumn]) -> bool:
        """Whether a column has one value within a group for each row that is counted."""
        groups = self._state.groups or []
        if self._state.resolver.is_key(visible) and not any(
            isinstance(node, GROUP_SETS) for node in groups
        ):
            return True
        return any(
            visible.source is measure.source and visible.source.is_settled(visible, measure)
            for measure in used
        )

    def _ambiguous(
        self, node: exp.Expr, measure: VisibleColumn, loose: list[VisibleColumn]
    ) -> UnsupportedError:
        what = f'"{loose[0].name}"' if loose else "a subquery"
        return UnsupportedError(
            f"{aggregate_name(node).upper()} over {measure.name} and {what} is not supported: "
            f"the join may repeat rows of {measure.name}, each with another value of {what}",
            hint="Aggregate in a grouped subquery and join that, or use FILTER (WHERE ...).",
            position=position_of(node),
        )

    def _check_keys(self, visible: VisibleColumn, node: exp.Expr, *, values: bool) -> None:
        measure = visible.measure
        for rows in () if measure is None else measure.definition.rows:
            if not (values or rows.duplicates_matter):
                continue
            if not self._state.statement.members.sql.primary_key(rows.cube):
                error = no_primary_key(rows.cube)
                error.position = position_of(node)
                raise error


def _ignores_duplicates(node: exp.Expr) -> bool:
    """Whether an aggregate of PostgreSQL is the same over rows that are repeated."""
    if isinstance(node, exp.Min | exp.Max | exp.LogicalAnd | exp.LogicalOr):
        return True
    return isinstance(node.this, exp.Distinct) or aggregate_name(node) == "every"


def _only_condition(node: exp.Expr) -> exp.Expr | None:
    """The condition of ``SUM(CASE WHEN condition THEN ... END)``, which counts rows that meet it.

    Nothing else may come of a row that does not meet it.
    """
    if not isinstance(node, exp.Sum | exp.Count | exp.Avg) or not isinstance(node.this, exp.Case):
        return None
    case = node.this
    branches = case.args.get("ifs") or []
    default = case.args.get("default")
    nothing = default is None or isinstance(default, exp.Null)
    if isinstance(node, exp.Sum) and default == exp.Literal.number(0):
        nothing = True
    if case.this is not None or len(branches) != 1 or not nothing:
        return None
    condition = branches[0].this
    return condition if isinstance(condition, exp.Expr) else None
