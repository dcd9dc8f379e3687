"""A grouping SELECT over a cube's rows as one over the groups that a rollup stores."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from sqlglot import exp

from semantic.compiler.aggregate_trees import is_aggregate as is_native_aggregate
from semantic.compiler.aggregates import aggregate_name, is_aggregate
from semantic.compiler.fences import RULED
from semantic.compiler.governed_rows import read_governed
from semantic.compiler.plan import MeasureUse, Scan, ScanColumn
from semantic.compiler.rollups.aggregates import (
    Aggregate,
    NotStorableError,
    as_double,
    needed_parts,
    read_aggregate,
    with_values,
)
from semantic.compiler.rollups.blueprint import Blueprint, Key, Part
from semantic.compiler.rollups.derived import DerivedValues
from semantic.compiler.rollups.elsewhere import is_elsewhere
from semantic.compiler.rollups.join_back import JoinBack
from semantic.compiler.rollups.moments import (
    Bound,
    can_tell,
    in_place,
    is_on_start,
    is_utc,
    read_bounds,
    read_time_function,
    stepped,
)
from semantic.compiler.rollups.reaggregate import (
    combined,
    count_of,
    ignores_duplicates,
    is_small_number,
)
from semantic.compiler.rollups.stored_query import cast
from semantic.compiler.rollups.trees import bare, columns_of, is_zone_free, named, scan_names
from semantic.compiler.sketches import is_counted
from semantic.compiler.trees import all_of, column, enclose, is_column_of, rebuild
from semantic.model.types import INT8, PostgresType


class NoMatchError(Exception):
    """A rollup cannot answer a SELECT: the reason, and what would change that."""

    def __init__(self, reason: str, change: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.change = change


@dataclass
class Regrouping:
    """Expressions over a scan's rows, made into expressions over a rollup's groups.

    Attributes:
        scan: of the rows; what replaces it has the same alias.
        blueprint: of the rollup.
        zone: the session's time zone.
        dialect: of the warehouse.
        keys: the stored keys that were asked for.
        parts: the stored parts that were asked for.
        missing: what was asked for and is not stored, and what to do about it but to add it.
    """

    scan: Scan
    blueprint: Blueprint
    zone: str
    dialect: str
    # Whether every group of the SELECT is one stored group, by which distinct counts can be read.
    is_same_grain: bool = False
    keys: dict[str, Key] = field(default_factory=dict)
    parts: dict[str, Part] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._columns = {item.name: item for item in self.scan.columns}
        self._names = scan_names(self.scan)
        self._values = {item.name: item.expression for item in self.scan.columns}
        self.join_back = JoinBack(self.scan, self._stored_value)
        governed = read_governed(self.scan.table)
        flags = {} if governed is None else governed.flags
        rules = {name: named(tree, {RULED: ""}) for name, tree in flags.items()}
        apart = is_elsewhere(self.blueprint, self.dialect)
        self.derived = DerivedValues(self.scan, self._stored_value, rules, apart)

    # Values of rows.

    def value(self, node: exp.Expr) -> exp.Expr:
        """An expression over a row as one over its group, which has one value for all its rows."""
        return rebuild(node, self._value)

    def _value(self, node: exp.Expr) -> exp.Expr | None:
        if isinstance(node, exp.Column):
            return self._plain(node) if self._is_own(node) else None
        function = read_time_function(node)
        if function is not None and self._is_own(function.argument):
            zone = function.zone
            key = self._time_key(
                function.argument,
                lambda key: (
                    key.grain is not None
                    and (zone is None or key.type.name == "timestamptz")
                    and can_tell(key.grain, function.needed, key.type, zone or self.zone)
                ),
            )
            return None if key is None else function.over(self._stored(key))
        if isinstance(node, exp.Is) and isinstance(node.expression, exp.Null):
            argument = bare(node.this)
            if isinstance(argument, exp.Column):
                key = self._time_key(argument, lambda _: True)
                return None if key is None else in_place(node, argument, self._stored(key))
        return self._comparison(node)

    def _comparison(self, node: exp.Expr) -> exp.Expr | None:
        made: list[exp.Expr] = []
        for bound in read_bounds(node):
            key = self.aligned(bound) if self._is_own(bound.column) else None
            if key is None:
                return None
            made.append(stepped(bound, key.type).over(self._stored(key)))
        both = all_of(made)
        return exp.Paren(this=both) if both is not None and len(made) > 1 else both

    def aligned(self, bound: Bound) -> Key | None:
        """The stored time whose periods lie whole on one side of a bound."""

        def holds(key: Key) -> bool:
            found = stepped(bound, key.type)
            return (
                key.grain is not None
                and found.operator in (">=", "<")
                and is_on_start(found.value, key.type, key.grain, self.zone)
            )

        return self._time_key(bound.column, holds)

    def time_keys(self, node: exp.Column) -> list[Key]:
        """The keys that hold a column's value, the value itself first."""
        if not self._is_own(node):
            return []
        value = self._named(node)
        found = [key for key in self.blueprint.keys if key.value == value]
        return sorted(found, key=lambda key: key.grain is not None)

    def _time_key(self, node: exp.Column, wanted: Callable[[Key], bool]) -> Key | None:
        """A truncated time that will do, unless the value itself is stored."""
        keys = self.time_keys(node)
        if not keys or keys[0].grain is None:
            return None
        return next(
            (key for key in keys if wanted(key) and self._may_read(key.value, key.type)), None
        )

    def _plain(self, node: exp.Column) -> exp.Expr:
        for key in self.time_keys(node):
            if key.grain is None and self._may_read(key.value, key.type):
                return self._stored(key)
        own = self._columns[node.name]
        derived = self.derived.column(own)
        if derived is not None:
            return derived
        if not self.join_back.add(own):
            self._miss(node)
        return node

    def _stored_value(self, value: exp.Expr) -> Key | None:
        """The key that holds a value as it is."""
        for key in self.blueprint.keys:
            if key.grain is None and key.value == value and self._may_read(key.value, key.type):
                return key
        return None

    def _miss(self, node: exp.Column) -> None:
        keys = self.time_keys(node)
        name = node.name.removesuffix(":row")
        if any(key.grain is None for key in keys):
            self.missing[f"{name} in another time zone than UTC"] = (
                f"leave out the data_type of {name} if its column is of that type"
            )
        elif keys:
            stored = ", ".join(str(key.column.granularity) for key in keys)
            self.missing[f"{name} finer or otherwise cut than by {stored}"] = (
                f"store {name} by a finer granularity"
            )
        elif self.scan.policies and any(key.column.member == name for key in self.blueprint.keys):
            self.missing[f"{name} as the caller sees it"] = "store all that its mask is over"
        else:
            self.missing[name] = ""

    def _may_read(self, value: exp.Expr, kind: PostgresType | None = None) -> bool:
        """Whether a value that was computed by the clock of UTC is the session's, too."""
        return is_utc(self.zone) or is_zone_free(value, kind)

    def _stored(self, key: Key) -> exp.Column:
        self.keys[key.column.name] = key
        return column(self.scan.alias, key.column.name)

    def _is_own(self, node: exp.Expr) -> bool:
        return is_column_of(node, self.scan.alias)

    def _named(self, node: exp.Column) -> exp.Expr:
        return named(self._values[node.name], self._names)

    def rule(self, tree: exp.Expr, table: str) -> exp.Expr:
        """A condition on the cube's rows, apart from aliases, as one on a rollup's.

        Args:
            tree: the condition, in the warehouse's dialect.
            table: the alias of the rollup's.
        """

        def replaced(node: exp.Expr) -> exp.Expr | None:
            key = self._stored_value(bare(node))
            if key is not None:
                return column(table, key.column.name)
            if isinstance(node, exp.Column):
                # Which one is none of the caller's business.
                raise NoMatchError(
                    "it does not store all that access policies and filters of views are over",
                    "add the dimensions that they are over",
                )
            return None

        return rebuild(tree, replaced)

    # Aggregates.

    def after_grouping(self, node: exp.Expr) -> exp.Expr:
        """An expression over groups, aggregates in it, as one over the stored groups."""
        return rebuild(node, self._after)

    def _after(self, node: exp.Expr) -> exp.Expr | None:
        if isinstance(node, exp.Window):
            return self._window(node)
        if isinstance(node, exp.Filter):
            return self._call(node.this, node.expression.this)
        if isinstance(node, exp.Grouping):
            return self.value(node)
        if is_aggregate(node):
            return self._call(node, None)
        return self._value(node)

    def _window(self, node: exp.Window) -> exp.Expr:
        """A window call: its function is called over groups, so only its arguments are theirs."""
        arguments: dict[str, object] = {}
        for name, value in node.args.items():
            if name == "this":
                arguments[name] = self._called(value)
            elif isinstance(value, list):
                arguments[name] = [self.after_grouping(item) for item in value]
            else:
                plain = not isinstance(value, exp.Expr)
                arguments[name] = value if plain else self.after_grouping(value)
        return exp.Window(**arguments)

    def _called(self, node: exp.Expr) -> exp.Expr:
        wraps = isinstance(node, exp.Filter | exp.IgnoreNulls | exp.RespectNulls)
        arguments: dict[str, object] = {}
        for name, value in node.args.items():
            if wraps and name == "this":
                arguments[name] = self._called(value)
            elif isinstance(value, exp.Expr):
                arguments[name] = self.after_grouping(value)
            elif isinstance(value, list):
                arguments[name] = [
                    self.after_grouping(item) if isinstance(item, exp.Expr) else item
                    for item in value
                ]
            else:
                arguments[name] = value
        return node.__class__(**arguments)

    def _call(self, call: exp.Expr, condition: exp.Expr | None) -> exp.Expr:
        """An aggregate call of the client's text."""
        where = None if condition is None else self.value(condition)
        made = self._of_parts(call, where)
        if made is None and ignores_duplicates(call):
            made = self.value(call)
            if where is not None:
                made = exp.Filter(this=made, expression=exp.Where(this=where))
        if made is None and isinstance(call, exp.Count):
            made = self._count_of_value(call, where)
        if made is None and isinstance(call, exp.Sum) and is_small_number(call.this):
            weighed = exp.Mul(this=enclose(self.value(call.this)), expression=self._rows())
            made = cast(self._filtered(exp.Sum(this=weighed), where), INT8)
        if made is None:
            return self._unanswered(call)
        return made

    def _unanswered(self, call: exp.Expr) -> exp.Expr:
        """An aggregate that no part gives: of what is not stored, or of each row."""
        self.value(call)
        if not self.missing:
            raise NoMatchError(f"{aggregate_name(call).upper()} has to see each row")
        return call

    def _of_parts(self, call: exp.Expr, where: exp.Expr | None) -> exp.Expr | None:
        argument = call.this
        if isinstance(argument, exp.Distinct):
            argument = argument.expressions[0] if len(argument.expressions) == 1 else None
        is_row_count = isinstance(call, exp.Count) and isinstance(
            argument, exp.Star | exp.Literal | exp.Boolean
        )
        if is_row_count and not isinstance(call.this, exp.Distinct):
            return self._row_count(where)
        if not isinstance(argument, exp.Expr) or not self._is_own(bare(argument)):
            return None
        own = self._columns[bare(argument).name]
        return self._aggregate(call, self._type_of(call, own), where)

    def _type_of(self, call: exp.Expr, own: ScanColumn) -> PostgresType | None:
        """The type of an aggregate over a column."""
        if isinstance(call, exp.Avg):
            is_float = own.type.name in {"float4", "float8"}
            return PostgresType("float8" if is_float else "numeric")
        return own.type

    def _row_count(self, where: exp.Expr | None) -> exp.Expr | None:
        return count_of(self._filtered(exp.Sum(this=self._rows()), where))

    def _rows(self) -> exp.Expr:
        part = self.blueprint.rows_part
        if part is None:
            raise NoMatchError(
                "it does not count the rows", "add a measure of type count without filters"
            )
        return self._part_column(part)

    def _count_of_value(self, call: exp.Expr, where: exp.Expr | None) -> exp.Expr | None:
        """COUNT of a value that the rows of a group share."""
        if isinstance(call.this, exp.Distinct) or call.expressions:
            return None
        present = exp.Not(this=exp.Is(this=self.value(call.this), expression=exp.Null()))
        counted = exp.Case(ifs=[exp.If(this=present, true=self._rows())])
        return count_of(self._filtered(exp.Sum(this=counted), where))

    def _filtered(self, call: exp.Expr, where: exp.Expr | None) -> exp.Expr:
        if where is None:
            return call
        return exp.Filter(this=call, expression=exp.Where(this=where))

    def _part_column(self, part: Part) -> exp.Column:
        self.parts[part.column.name] = part
        return column(self.scan.alias, part.column.name)

    def _aggregate(
        self,
        call: exp.Expr,
        kind: PostgresType | None,
        where: exp.Expr | None,
        *,
        exact: bool = True,
    ) -> exp.Expr | None:
        """An aggregate over values of rows, by the parts that are stored; None for none."""
        try:
            tree = with_values(call, self._values, self.scan.alias)
            wanted = read_aggregate(tree)
        except NotStorableError:
            return None
        wanted = self._unwidened(call, replace(wanted, value=named(wanted.value, self._names)))
        if wanted.function == "distinct":
            return self._distinct(wanted, where)
        found: list[tuple[Part, exp.Column]] = []
        parts = [self.blueprint.part(item) for item in needed_parts(wanted, kind or INT8)]
        for part in parts:
            if part is None or not self._may_read(part.aggregate.value):
                return None
            found.append((part, column(self.scan.alias, part.column.name)))
        made = combined(wanted, tuple(found), kind, where, exact=exact)
        if made is not None:
            self.parts.update({part.column.name: part for part, _ in found})
        return made

    def _unwidened(self, call: exp.Expr, wanted: Aggregate) -> Aggregate:
        """The aggregate over values before they are cast to the type of a measure's row value.

        That type holds them all. Sums and extremes have to be of the type of the stored ones.
        """
        argument, value = bare(call.this), wanted.value
        is_row_value = isinstance(argument, exp.Column) and argument.name.endswith(":row")
        if not is_row_value or not isinstance(value, exp.Cast) or value.to.expressions:
            return wanted
        if value.to.this not in (exp.DType.BIGINT, exp.DType.DECIMAL):
            return wanted
        narrow = replace(wanted, value=bare(value.this))
        if wanted.function in {"avg", "count"}:
            return narrow
        part = self.blueprint.part(narrow)
        is_same = part is not None and part.column.type == self._columns[argument.name].type
        return narrow if is_same and wanted.function in {"min", "max"} else wanted

    def _distinct(self, wanted: Aggregate, where: exp.Expr | None) -> exp.Expr | None:
        """A count of different values: of a stored one, or read where groups stay what they are."""
        for key in self.blueprint.keys:
            if (
                key.grain is None
                and key.value == wanted.value
                and self._may_read(key.value, key.type)
            ):
                values = exp.Distinct(expressions=[self._stored(key)])
                return self._filtered(exp.Count(this=values, big_int=True), where)
        part = self.blueprint.part(wanted)
        if part is None or not self.is_same_grain or not self._may_read(wanted.value):
            return None
        return count_of(self._filtered(exp.Max(this=self._part_column(part)), where))

    # Measures.

    def measure(self, use: MeasureUse) -> MeasureUse:
        """A measure over the rows of a group as one over the stored groups."""
        if use.row_keys:
            raise NoMatchError("rows that joins repeat are counted once each")
        if use.alias != self.scan.alias:
            return self._other_measure(use)
        where = None if use.filter is None else self.value(use.filter)
        if use.portable:
            made = self._aggregate(use.formula, use.type, where)
            derived = self._of_derived(use.formula) if made is None else None
            if derived is not None:
                return replace(use, formula=derived, filter=where)
            if made is None:
                self.missing[use.name.rpartition(".")[2]] = ""
                return use
            # What is made of sketches is the warehouse's own SQL.
            portable = made.find(exp.Subquery) is None
            return replace(use, formula=made, filter=None, portable=portable)
        formula = rebuild(use.formula, lambda node: self._native(node, use))
        return replace(use, formula=formula, filter=where)

    def _native(self, node: exp.Expr, use: MeasureUse) -> exp.Expr | None:
        """An aggregate of the model's own SQL."""
        if not is_native_aggregate(node) and not is_counted(node):
            return None
        made = None
        if columns_of_other(node, self.scan.alias) is None:
            exact = self.dialect == "postgres"
            made = self._aggregate(node, self._native_type(node), None, exact=exact)
        made = made or self._of_derived(node)
        if made is None:
            self.missing[use.name.rpartition(".")[2]] = ""
            return node
        return made

    def _of_derived(self, node: exp.Expr) -> exp.Expr | None:
        """What stands for a masked measure: an extreme of values that are one for all rows."""
        argument = bare(node.this) if isinstance(node, exp.Max | exp.LogicalAnd) else None
        if argument is None or not self._is_own(argument):
            return None
        derived = self.derived.column(self._columns[argument.name])
        return None if derived is None else node.__class__(this=derived)

    def _native_type(self, node: exp.Expr) -> PostgresType | None:
        """The type of an average of the model's own SQL: that of the sum that is stored of it."""
        if not isinstance(node, exp.Avg):
            return None
        try:
            wanted = read_aggregate(with_values(node, self._values, self.scan.alias))
        except NotStorableError:
            return None
        value = named(wanted.value, self._names)
        if self.blueprint.part(Aggregate("sum", as_double(value))) is not None:
            return PostgresType("float8")
        part = self.blueprint.part(Aggregate("sum", value))
        is_exact = part is not None and part.column.type.name in {"int8", "numeric"}
        return PostgresType("numeric") if is_exact else None

    def _other_measure(self, use: MeasureUse) -> MeasureUse:
        calls = [node for node in use.formula.walk() if is_aggregate(node)]
        if not all(ignores_duplicates(call) for call in calls):
            raise NoMatchError(f"{use.name} has to see each row that is joined")
        if use.filter is None:
            return use
        return replace(use, filter=self.value(use.filter))


def columns_of_other(node: exp.Expr, table: str) -> exp.Column | None:
    """A column of a tree that is not of the relation."""
    own = {id(item) for item in columns_of(node, table)}
    return next((item for item in node.find_all(exp.Column) if id(item) not in own), None)
