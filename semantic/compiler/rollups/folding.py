"""Joins of the client's that are joins of the model's, as columns of the cube that a rollup is of.

``flights JOIN airlines ON flights.carrier = airlines.code`` and the model's own join from flights
to airlines find the same rows. What is asked of the airline is then a dimension of flights over
that join, which a rollup of flights may store, and the join need not be made again.

The model's join keeps a row without a match, with NULLs; so does LEFT JOIN. An inner join leaves it
out: there the rows have to be told apart by what is stored, by the key that was joined by unless a
condition of the client's is true for no NULL.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from sqlglot import exp

from semantic.compiler.nulls import is_null_of_nulls
from semantic.compiler.plan import Join, Relation, Scan, ScanColumn, ScanJoin, Select
from semantic.compiler.rewrite.tools import everywhere
from semantic.compiler.rollups.blueprint import Blueprint
from semantic.compiler.rollups.trees import NamedJoin, bare, named, scan_names
from semantic.compiler.trees import all_of, column, conjuncts, is_column_of, rebuild, table_of

# True for no NULL on their left.
_STRICT = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Like, exp.ILike, exp.In)

Pair = frozenset[exp.Expr]
Value = Callable[[exp.Expr], exp.Expr | None]


@dataclass(frozen=True, slots=True)
class Folded:
    """A SELECT with joins taken into a scan, for a rollup to be matched with."""

    select: Select
    scan: Scan


@dataclass(frozen=True, slots=True)
class _Place:
    """A join of the client's between what holds the scan and a scan of another cube."""

    join: Join
    other: Scan
    keeps_unmatched: bool


def fold(
    select: Select, scan: Scan, blueprint: Blueprint, suits: Callable[[str], bool]
) -> Folded | None:
    """Take all joins into a scan that a rollup's cube has, too; None where there is none.

    Args:
        select: with joins in its FROM.
        scan: of the rollup's cube, whose rows no join of the FROM adds to.
        blueprint: of the rollup.
        suits: whether what is stored of a cube is fresh enough for it.
    """
    found: Folded | None = None
    while True:
        made = _fold_one(select, scan, blueprint, suits)
        if made is None:
            return found
        found, select, scan = made, made.select, made.scan


def _fold_one(
    select: Select, scan: Scan, blueprint: Blueprint, suits: Callable[[str], bool]
) -> Folded | None:
    for place in _places(select.source, scan):
        is_measured = any(use.alias == place.other.alias for use in select.measures)
        if is_measured or not suits(place.other.cube):
            continue
        for name, join in blueprint.frame.joins.items():
            made = _folded(select, scan, place, name, join)
            if made is not None:
                return made
    return None


def _places(relation: Relation | None, scan: Scan) -> Iterator[_Place]:
    """Joins of a FROM with a scan on one side and ``scan`` somewhere on the other."""
    if not isinstance(relation, Join):
        return
    for own, other, outer in (
        (relation.left, relation.right, "LEFT"),
        (relation.right, relation.left, "RIGHT"),
    ):
        if _holds(own, scan):
            is_kind = relation.kind in ("INNER", outer)
            if is_kind and isinstance(other, Scan) and other.data_source == scan.data_source:
                yield _Place(relation, other, relation.kind == outer)
            yield from _places(own, scan)


def _folded(select: Select, scan: Scan, place: _Place, name: str, join: NamedJoin) -> Folded | None:
    other = place.other
    if not _is_plain(other, join) or any(other.relation == each for each in _relations(scan)):
        return None
    pairs = _pairs(join.condition)
    aliases = {named_as: alias for alias, named_as in scan_names(scan).items()}
    alias = f"{other.alias}:joined"
    aliases.setdefault(name, alias)
    own_names = {**scan_names(scan), other.base: name}
    values = {item.name: item.expression for item in scan.columns}
    others = {item.name: item.expression for item in other.columns}

    def value(node: exp.Expr) -> exp.Expr | None:
        """What a side of a client's comparison is, apart from aliases."""
        node = bare(node)
        tree = None
        if is_column_of(node, scan.alias):
            tree = values[node.name]
        elif is_column_of(node, other.alias):
            tree = others[node.name]
        return None if tree is None else bare(named(tree, own_names))

    met, keys, rest = _compared(place.join, pairs, value, other)
    if pairs is None or met != pairs or not keys or (rest and place.keeps_unmatched):
        return None
    tables = {table_of(item) for item in join.condition.find_all(exp.Column)}
    if not tables <= aliases.keys():
        return None
    return _Maker(select, scan, place, aliases, name, join).make(rest, keys[0])


@dataclass(frozen=True, slots=True)
class _Maker:
    select: Select
    scan: Scan
    place: _Place
    aliases: dict[str, str]
    name: str
    join: NamedJoin

    def make(self, rest: list[exp.Expr], key: exp.Expr) -> Folded:
        """The SELECT without the join, and with the conditions that it stood for."""
        other, alias = self.place.other, self.aliases[self.name]
        condition = named(self.join.condition, self.aliases)
        own = ScanJoin(alias, other.table, condition, "LEFT", self.name)
        columns = [
            ScanColumn(
                _column_name(other, item.name),
                named(item.expression, {other.base: alias}),
                item.type,
            )
            for item in other.columns
        ]
        joins = self.scan.joins
        if all(each.alias != alias for each in joins):
            joins = (*joins, own)
        scan = replace(self.scan, joins=joins, columns=(*self.scan.columns, *columns))
        where = [*conjuncts(self.select.where), *rest]
        if not self.place.keeps_unmatched and not any(map(self._refuses_nulls, where)):
            where.append(exp.Not(this=exp.Is(this=key, expression=exp.Null())))
        source = _without(self.select.source, self.place.join, other, self.scan, scan)
        select = replace(self.select, source=source, where=all_of(where))
        return Folded(everywhere(select, self._moved), scan)

    def _moved(self, tree: exp.Expr) -> exp.Expr:
        other = self.place.other

        def replaced(node: exp.Expr) -> exp.Expr | None:
            if is_column_of(node, other.alias):
                return column(self.scan.alias, _column_name(other, node.name))
            return None

        return rebuild(tree, replaced)

    def _refuses_nulls(self, condition: exp.Expr) -> bool:
        """Whether a condition is true for no row without a match."""
        condition = bare(condition)
        return isinstance(condition, _STRICT) and is_column_of(
            bare(condition.this), self.place.other.alias
        )


def _is_plain(other: Scan, join: NamedJoin) -> bool:
    """Whether a scan has all rows of the model's join, and NULLs where that has none."""
    if other.table != join.table or join.kind != "LEFT" or join.structural:
        return False
    if other.filters or other.policies or other.pushed or other.fenced or other.rollup:
        return False
    return all(
        is_null_of_nulls(item.expression)
        and all(table_of(node) == other.base for node in item.expression.find_all(exp.Column))
        for item in other.columns
    )


def _relations(scan: Scan) -> Iterator[str]:
    """The cubes whose columns have been folded into a scan."""
    return (item.name.partition(".")[0] for item in scan.columns if "." in item.name)


def _column_name(other: Scan, name: str) -> str:
    """The name of a folded column: as a member of a rollup is named."""
    return f"{other.relation}.{name}"


def _pairs(condition: exp.Expr) -> set[Pair] | None:
    """What a condition of the model compares with what; None where it does something else."""
    found: set[Pair] = set()
    for item in conjuncts(condition):
        item = bare(item)
        sides = (bare(item.this), bare(item.expression)) if isinstance(item, exp.EQ) else ()
        if not sides or not all(isinstance(side, exp.Column) for side in sides):
            return None
        found.add(frozenset(sides))
    return found


def _compared(
    join: Join, pairs: set[Pair] | None, value: Value, other: Scan
) -> tuple[set[Pair], list[exp.Expr], list[exp.Expr]]:
    """Which of the model's comparisons a join makes, by which columns, and what it demands else."""
    met: set[Pair] = set()
    keys: list[exp.Expr] = []
    rest: list[exp.Expr] = []
    conditions = [*conjuncts(join.condition)]
    conditions += [*conjuncts(join.model_condition)]
    for condition in conditions:
        item = bare(condition)
        sides = [bare(item.this), bare(item.expression)] if isinstance(item, exp.EQ) else []
        shown = [value(side) for side in sides]
        pair = frozenset(side for side in shown if side is not None)
        if len(shown) == 2 and len(pair) == 2 and pairs is not None and pair in pairs:
            met.add(pair)
            keys += [side for side in sides if is_column_of(side, other.alias)]
        else:
            rest.append(condition)
    return met, keys, rest


def _without(
    relation: Relation | None, join: Join, other: Scan, old: Scan, new: Scan
) -> Relation | None:
    """A FROM without one side of a join, and with a scan in the place of another."""
    if relation is old:
        return new
    if not isinstance(relation, Join):
        return relation
    if relation is join:
        kept = join.left if join.right is other else join.right
        return _without(kept, join, other, old, new)
    left = _without(relation.left, join, other, old, new)
    right = _without(relation.right, join, other, old, new)
    if left is None or right is None:
        raise TypeError(type(relation).__name__)
    return replace(relation, left=left, right=right)


def _holds(relation: Relation, scan: Scan) -> bool:
    if isinstance(relation, Join):
        return _holds(relation.left, scan) or _holds(relation.right, scan)
    return relation is scan
