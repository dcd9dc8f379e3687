"""What random statements stand on: relations, joins and subqueries, and conditions over them."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field

from tests.oracle.expressions import Chooser, Leaf, Pair, Random, same, scalar
from tests.oracle.members import (
    ITEM_VIEW,
    ITEMS,
    PLACES,
    VIEW_HOME_MEASURES,
    Member,
    Relation,
)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a FROM item."""

    kind: str
    text: Pair


@dataclass(frozen=True, slots=True)
class MeasureColumn:
    """A measure as the client reaches it, and what it is over the plain rows behind ``alias``.

    Attributes:
        key: where rows may be repeated, the column with the id of the measure's own row; then only
            the measure over a group is known, not its value for a row.
    """

    text: str
    relation: Relation
    name: str
    alias: str
    key: str = ""

    @property
    def member(self) -> Member:
        return self.relation.measures[self.name]

    def grouped(self, condition: str = "") -> str:
        """In plain SQL, over a group's rows or those that satisfy the condition."""
        if self.key:
            return self.relation.grouped_once(self.name, self.key, condition)
        return self.relation.grouped(self.name, self.alias, condition)

    @property
    def has_rows(self) -> bool:
        """Whether other aggregates over it read the rows' values (M3), and these are at hand."""
        return not self.key and self.member.has_rows


@dataclass(frozen=True, slots=True)
class Shape:
    """Two relations ``a`` and ``b``, and how they are joined.

    Attributes:
        condition: both ways round.
        keeps: whether no row of ``a`` is repeated.
    """

    left: Relation
    right: Relation
    condition: tuple[str, str]
    keeps: bool = False


SHAPES = (
    Shape(ITEMS, PLACES, ("a.home_id = b.id", "b.id = a.home_id"), keeps=True),
    Shape(ITEM_VIEW, PLACES, ("a.home_id = b.id", "b.id = a.home_id"), keeps=True),
    Shape(PLACES, ITEMS, ("a.id = b.home_id", "b.home_id = a.id")),
    Shape(PLACES, ITEM_VIEW, ("a.id = b.home_id", "b.home_id = a.id AND b.flag")),
    Shape(ITEMS, ITEMS, ("a.grp = b.grp", "a.grp = b.grp AND a.tag = b.tag")),
    Shape(ITEMS, PLACES, ("a.home_city = b.city", "b.city = a.away_city")),
    Shape(PLACES, PLACES, ("a.region = b.region", "a.rank = b.rank AND a.id <> b.id")),
)


@dataclass(slots=True)
class Source:
    """What stands in FROM (and WHERE), and what can be read of it."""

    text: Pair
    columns: list[Column]
    measures: list[MeasureColumn] = field(default_factory=list)
    keys: list[Column] = field(default_factory=list)
    """What puts its rows into a total order."""


@dataclass(frozen=True, slots=True)
class Result:
    """A query whose output columns are ``c1``, ``c2`` and so on."""

    text: Pair
    kinds: tuple[str, ...]
    ordered: bool = False


class Sources:
    """Makes what stands in FROM and WHERE out of the choices of a chooser."""

    def __init__(self, chooser: Chooser) -> None:
        self.r = Random(chooser)
        self._aliases = 0

    @abstractmethod
    def statement(self, depth: int) -> Result:
        """Any query."""

    @abstractmethod
    def aggregate(self, source: Source) -> tuple[str, Pair]:
        """A measure in one of its forms, or an aggregate over the rows."""

    # FROM

    def alias(self) -> str:
        self._aliases += 1
        return f"q{self._aliases}"

    def source(self, depth: int) -> Source:
        kind = self.r.number(0, 9)
        if depth > 0 and kind == 9:
            return self.boundary(depth)
        if depth > 0 and kind >= 7:
            return self.beside_groups(depth) if self.r.chance(20) else self.transparent(depth)
        if kind >= 5:
            return self.joined()
        return self.relation(self.r.pick((ITEMS, ITEMS, ITEM_VIEW, ITEM_VIEW, PLACES)))

    def relation(self, relation: Relation, alias: str | None = None) -> Source:
        named = alias is not None or self.r.chance(70)
        alias = alias or (self.alias() if named else relation.name)
        bare = self.r.chance(40)
        before = "" if bare else f"{alias}."
        columns = [
            Column(kind, Pair(f"{before}{name}", f"{alias}.{name}"))
            for name, kind in relation.columns.items()
        ]
        measures = [
            MeasureColumn(f"{before}{name}", relation, name, alias) for name in relation.measures
        ]
        if relation is ITEM_VIEW:
            measures += [
                MeasureColumn(f"{before}{name}", PLACES, own, alias, f"{alias}.home_id")
                for name, own in VIEW_HOME_MEASURES.items()
            ]
        schema = self.r.pick(("", "", "public."))
        quoted = self.r.pick((relation.name, relation.name.upper(), f'"{relation.name}"'))
        ours = f"{schema}{quoted}" + (f" {self.r.pick(('AS ', ''))}{alias}" if named else "")
        text = Pair(ours, f"{relation.name}_rows AS {alias}")
        return Source(text, columns, measures, columns[:1])

    def joined(self) -> Source:
        """Two or three cubes and views, as a client joins tables."""
        shape = self.r.pick(SHAPES)
        left, right = self.relation(shape.left, "a"), self.relation(shape.right, "b")
        kind = self.r.pick(("JOIN", "LEFT JOIN", "INNER JOIN", "RIGHT JOIN", "FULL JOIN"))
        condition = self.r.pick(shape.condition)
        text = Pair(
            *(f"{a} {kind} {b} ON {condition}" for a, b in zip(left.text, right.text, strict=True))
        )
        sides, keeps = [left, right], shape.keeps and "RIGHT" not in kind and "FULL" not in kind
        if self.r.chance(25):
            other = self.relation(PLACES, "c")
            more = self.r.pick(("JOIN", "LEFT JOIN"))
            number = "rank" if shape.right is PLACES else "grp"
            text = Pair(
                *(
                    f"{before} {more} {each} ON c.rank = b.{number}"
                    for before, each in zip(text, other.text, strict=True)
                )
            )
            sides, keeps = [*sides, other], False
        columns = [
            Column(column.kind, same(column.text.plain))
            for side in sides
            for column in side.columns
        ]
        measures = [
            MeasureColumn(
                f"{side.keys[0].text.plain.partition('.')[0]}.{_last(one.text)}",
                one.relation,
                one.name,
                one.alias,
                one.key or ("" if keeps and side is left else f"{one.alias}.id"),
            )
            for side in sides
            for one in side.measures
        ]
        keys = [column for column in columns if column.text.plain.endswith(".id")]
        return Source(text, columns, measures, keys)

    def beside_groups(self, depth: int) -> Source:
        """Items with what a grouped subquery says of their group (J5)."""
        left = self.relation(ITEMS, "a")
        inner = self.source(depth - 1)
        key = scalar(self.r, "int", self.leaf(inner), 0)
        kind, total = self.aggregate(inner)
        condition = self.where(inner)
        alias = self.alias()
        right = Pair(
            f"(SELECT {key.ours} AS c1, {total.ours} AS c2 FROM {inner.text.ours}"
            f"{condition.ours} GROUP BY 1) AS {alias}",
            f"(SELECT {key.plain} AS c1, {total.plain} AS c2 FROM {inner.text.plain}"
            f"{condition.plain} GROUP BY 1) AS {alias}",
        )
        join = self.r.pick(("JOIN", "LEFT JOIN"))
        equal = self.r.pick(("=", "IS NOT DISTINCT FROM"))
        text = Pair(
            *(
                f"{a} {join} {b} ON a.grp {equal} {alias}.c1"
                for a, b in zip(left.text, right, strict=True)
            )
        )
        columns = [Column(column.kind, same(column.text.plain)) for column in left.columns]
        columns += [Column("int", same(f"{alias}.c1")), Column(kind, same(f"{alias}.c2"))]
        measures = [
            MeasureColumn(f"a.{_last(one.text)}", one.relation, one.name, one.alias, one.key)
            for one in left.measures
        ]
        return Source(text, columns, measures, columns[:1])

    def transparent(self, depth: int) -> Source:
        """A subquery that only projects, renames and filters (M9)."""
        if self.r.chance(25):
            return self.transparent_join(depth)
        inner = self.relation(self.r.pick((ITEMS, ITEM_VIEW)))
        if depth > 1 and self.r.chance(30):
            inner = self.transparent(depth - 1)
        alias = self.alias()
        if self.r.chance(25):
            condition = self.where(inner)
            text = Pair(
                f"(SELECT * FROM {inner.text.ours}{condition.ours}) AS {alias}",
                f"(SELECT * FROM {inner.text.plain}{condition.plain}) AS {alias}",
            )
            rename = {one.text.ours: _last(one.text.ours) for one in inner.columns}
            columns = [
                Column(one.kind, same(f"{alias}.{rename[one.text.ours]}")) for one in inner.columns
            ]
            measures = [
                MeasureColumn(
                    f"{alias}.{_last(one.text)}", one.relation, one.name, alias, _moved(one, alias)
                )
                for one in inner.measures
            ]
            return Source(text, columns, measures, columns[:1])
        key = f"key{depth}"
        ours = [f"{inner.keys[0].text.ours} AS {key}"]
        plain = [f"{inner.keys[0].text.plain} AS {key}"]
        columns = [Column("int", same(f"{alias}.{key}"))]
        for number, column in enumerate(self.r.some(inner.columns, 2, 8), start=100 * depth):
            chosen = column.text
            if self.r.chance(30):
                chosen = scalar(self.r, column.kind, self.leaf(inner), 2)
            ours.append(f"{chosen.ours} AS d{number}")
            plain.append(f"{chosen.plain} AS d{number}")
            columns.append(Column(column.kind, same(f"{alias}.d{number}")))
        measures = []
        for number, measure in enumerate(self.r.some(inner.measures, 1, 6)):
            ours.append(f"{measure.text} AS m{number}")
            measures.append(
                MeasureColumn(
                    f"{alias}.m{number}",
                    measure.relation,
                    measure.name,
                    alias,
                    _moved(measure, alias),
                )
            )
        condition = self.where(inner)
        # The plain rows keep all columns, so that a measure's values stay at hand.
        origin = inner.measures[0].alias
        both = Pair(
            f"(SELECT {', '.join(ours)} FROM {inner.text.ours}{condition.ours}) AS {alias}",
            f"(SELECT {origin}.*, {', '.join(plain)} FROM {inner.text.plain}{condition.plain})"
            f" AS {alias}",
        )
        return Source(both, columns, measures, columns[:1])

    def transparent_join(self, depth: int) -> Source:
        """A subquery that hands up measures of several cubes; in plain SQL, ids of their rows."""
        inner = self.joined()
        alias = self.alias()
        ours, plain, columns, keys = [], [], [], []
        for number, key in enumerate(inner.keys):
            ours.append(f"{key.text.ours} AS id{number}")
            plain.append(f"{key.text.plain} AS id{number}")
            keys.append(Column("int", same(f"{alias}.id{number}")))
        for number, column in enumerate(self.r.some(inner.columns, 1, 6), start=100 * depth):
            ours.append(f"{column.text.ours} AS d{number}")
            plain.append(f"{column.text.plain} AS d{number}")
            columns.append(Column(column.kind, same(f"{alias}.d{number}")))
        measures = []
        for number, one in enumerate(self.r.some(inner.measures, 1, 5)):
            ours.append(f"{one.text} AS m{number}")
            plain.append(f"{one.key or f'{one.alias}.id'} AS k{number}")
            measures.append(
                MeasureColumn(
                    f"{alias}.m{number}", one.relation, one.name, alias, f"{alias}.k{number}"
                )
            )
        condition = self.where(inner)
        text = Pair(
            f"(SELECT {', '.join(ours)} FROM {inner.text.ours}{condition.ours}) AS {alias}",
            f"(SELECT {', '.join(plain)} FROM {inner.text.plain}{condition.plain}) AS {alias}",
        )
        return Source(text, keys + columns, measures, keys)

    def boundary(self, depth: int) -> Source:
        """A subquery whose columns are plain."""
        return self.as_source(self.statement(depth - 1))

    def as_source(self, result: Result) -> Source:
        alias = self.alias()
        columns = [
            Column(kind, same(f"{alias}.c{number}"))
            for number, kind in enumerate(result.kinds, start=1)
        ]
        text = Pair(f"({result.text.ours}) AS {alias}", f"({result.text.plain}) AS {alias}")
        return Source(text, columns, [], columns)

    # Expressions

    def leaf(self, source: Source, *, measures: bool = False, rows: bool = True) -> Leaf:
        """Columns of the source; with ``measures`` also the row values of M5.

        Without ``rows`` only measures that other aggregates read row by row (M3).
        """

        def found(kind: str) -> Pair | None:
            if measures and self.r.chance(20):
                fitting = [
                    one
                    for one in source.measures
                    if one.member.kind == kind and not one.key and (rows or one.has_rows)
                ]
                if fitting:
                    one = self.r.pick(fitting)
                    return Pair(one.text, one.relation.row(one.name, one.alias))
            columns = [one for one in source.columns if one.kind == kind]
            return self.r.pick(columns).text if columns else None

        return found

    def where(self, source: Source, percent: int = 50) -> Pair:
        if not self.r.chance(percent):
            return same("")
        condition = self.condition(source)
        return Pair(f" WHERE {condition.ours}", f" WHERE {condition.plain}")

    def condition(self, source: Source) -> Pair:
        if self.r.chance(15):
            return self.subquery_condition(source)
        measures = self.r.chance(20)
        return scalar(self.r, "bool", self.leaf(source, measures=measures), 2)

    def subquery_condition(self, source: Source) -> Pair:
        """EXISTS, IN and comparisons with a scalar subquery."""
        inner = self.relation(PLACES, self.alias())
        alias = inner.columns[0].text.plain.partition(".")[0]
        numbers = [one for one in source.columns if one.kind == "int" and "." in one.text.ours]
        if not numbers:
            return same("true")
        number = self.r.pick(numbers).text
        within = scalar(self.r, "bool", self.leaf(inner), 1)
        kind = self.r.number(0, 5)
        if kind == 5:
            measure = self.r.pick(inner.measures)
            grouped = Pair(f"MEASURE({measure.text})", measure.grouped())
            if measure.member.kind in ("int", "numeric", "float"):
                start, end = "{1} < (SELECT " + "{2} FROM {0} WHERE ", ")"
                return Pair(
                    start.format(inner.text.ours, number.ours, grouped.ours) + within.ours + end,
                    start.format(inner.text.plain, number.plain, grouped.plain)
                    + within.plain
                    + end,
                )
            kind = 0
        if kind == 0:
            start, end = f"EXISTS (SELECT 1 FROM {{0}} WHERE {alias}.id = {{1}} AND ", ")"
        elif kind == 1:
            start, end = "{1} IN (SELECT id FROM {0} WHERE ", ")"
        elif kind == 2:
            start, end = "{1} NOT IN (SELECT rank FROM {0} WHERE rank IS NOT NULL AND ", ")"
        elif kind == 3:
            start, end = f"{{1}} > (SELECT MIN(rank) FROM {{0}} WHERE {alias}.id <> {{1}} AND ", ")"
        else:
            start, end = "{1} < (SELECT AVG(rank) FROM {0} WHERE ", ")"
        return Pair(
            start.format(inner.text.ours, number.ours) + within.ours + end,
            start.format(inner.text.plain, number.plain) + within.plain + end,
        )


def _moved(measure: MeasureColumn, alias: str) -> str:
    """The key of a measure where the plain rows keep all columns under another alias."""
    return f"{alias}.{_last(measure.key)}" if measure.key else ""


def _last(name: str) -> str:
    return name.rpartition(".")[2]
