"""Random statements over the cubes, each with the plain SQL that means the same."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.oracle.expressions import KINDS, Pair, Parameters, same, scalar
from tests.oracle.members import Aggregate
from tests.oracle.sources import Result, Source, Sources


@dataclass(frozen=True, slots=True)
class Case:
    """One statement twice; the parameters are the same for both."""

    ours: str
    plain: str
    ordered: bool = False
    values: tuple[str | None, ...] = ()
    oids: tuple[int, ...] = ()
    zone: str = "UTC"
    loose: bool | None = None
    """Whether a numeric's last zeros may differ, as of any of equal ones; None: by the text."""


ZONES = ("UTC", "UTC", "America/New_York", "Asia/Kathmandu")


class Statements(Sources):
    """Makes statements out of the choices of a chooser."""

    def case(self) -> Case:
        parameters = self.r.parameters = Parameters() if self.r.chance(30) else None
        result = self.statement(2)
        ours, plain = result.text
        given = parameters or Parameters()
        values, oids = tuple(given.values), tuple(given.oids)
        return Case(ours, plain, result.ordered, values, oids, self.r.pick(ZONES))

    def statement(self, depth: int) -> Result:
        kind = self.r.number(0, 11) if depth > 0 else self.r.number(0, 5)
        if kind <= 2:
            return self.grouped(self.source(depth))
        if kind <= 4:
            return self.rows(self.source(depth))
        if kind == 5:
            return self.total(self.source(depth))
        if kind == 6:
            return self.set_operation(depth)
        if kind == 7:
            return self.common_table(depth)
        if kind == 8:
            return self.join_of_groups(depth)
        return (
            self.grouped(self.boundary(depth))
            if self.r.chance(50)
            else self.rows(self.boundary(depth))
        )

    def aggregate(self, source: Source) -> tuple[str, Pair]:
        """A measure in one of its forms, or an aggregate over the rows."""
        if source.measures and self.r.chance(60):
            return self.measure(source)
        kind = self.r.number(0, 9)
        filtered = self.filter(source)
        if kind <= 1:
            calls = self.r.pick(("COUNT(*)", "COUNT(1)"))
            return "int", Pair(calls + filtered.ours, "COUNT(*)" + filtered.plain)
        inner = self.r.pick(KINDS)
        measures = self.r.chance(20)
        given = scalar(self.r, inner, self.leaf(source, measures=measures, rows=False), 1)
        if kind == 2:
            template, result = "COUNT({})", "int"
        elif kind == 3:
            template, result = "COUNT(DISTINCT {})", "int"
        elif kind == 4 and inner == "bool":
            template, result = self.r.pick(("BOOL_AND({})", "BOOL_OR({})", "EVERY({})")), "bool"
        elif kind == 5 and inner == "text":
            template, result = "STRING_AGG(DISTINCT {}, ',')", "text"
        elif inner in ("int", "numeric"):
            template, result = self.r.pick(("SUM({})", "AVG({})")), "numeric"
            template = f"CAST({template} AS numeric)"
        elif inner == "float":
            template, result = "SUM({})", "float"
        elif inner == "bool":
            template, result = "COUNT({})", "int"
        else:
            template, result = self.r.pick(("MIN({})", "MAX({})")), inner
        if template.startswith("CAST"):
            return result, Pair(*(template.format(one) for one in given))
        return result, Pair(
            template.format(given.ours) + filtered.ours,
            template.format(given.plain) + filtered.plain,
        )

    def filter(self, source: Source) -> Pair:
        if not self.r.chance(15):
            return same("")
        condition = scalar(self.r, "bool", self.leaf(source), 1)
        return Pair(*(f" FILTER (WHERE {one})" for one in condition))

    def measure(self, source: Source) -> tuple[str, Pair]:
        chosen = self.r.pick(source.measures)
        kind, definition = chosen.member.kind, chosen.member.definition
        form = self.r.number(0, 9)
        grouped = chosen.grouped()
        if form <= 3:
            return kind, Pair(f"MEASURE({chosen.text})", grouped)
        if form == 4:
            name = self.r.pick(("AGG", "measure", "AGGREGATE"))
            return kind, Pair(f"{name}({chosen.text})", grouped)
        if form == 5:
            condition = scalar(self.r, "bool", self.leaf(source), 1)
            plain = chosen.grouped(condition.plain)
            return kind, Pair(f"MEASURE({chosen.text}) FILTER (WHERE {condition.ours})", plain)
        if form <= 7 and isinstance(definition, Aggregate):
            matching = self.r.pick(definition.matching)
            if matching.startswith("SUM") and kind == "int":
                # PostgreSQL calls the sum of a bigint column numeric.
                kind, grouped = "numeric", f"CAST({grouped} AS numeric)"
            return kind, Pair(matching.format(m=chosen.text), grouped)
        if form == 8 and chosen.has_rows:
            templates = (("COUNT({})", "int"), ("COUNT(DISTINCT {})", "int"), ("MIN({})", kind))
            template, result = self.r.pick(templates)
            row = chosen.relation.row(chosen.name, chosen.alias)
            return result, Pair(template.format(chosen.text), template.format(row))
        return kind, Pair(f"MEASURE({chosen.text})", grouped)

    # Queries

    def rows(self, source: Source) -> Result:
        """A select without groups."""
        r = self.r
        kinds, items = [], []
        for _ in range(r.number(1, 4)):
            kind = r.pick(KINDS)
            measures = r.chance(40)
            items.append(scalar(r, kind, self.leaf(source, measures=measures), 2))
            kinds.append(kind)
        distinct = r.chance(15)
        if not distinct and r.chance(20):
            kinds.append("int")
            items.append(self.window(source))
        condition = self.where(source)
        head = "SELECT DISTINCT " if distinct else "SELECT "
        text = self.select(head, items, source, condition, same(""))
        return self.finish(text, kinds, len(items))

    def window(self, source: Source) -> Pair:
        r = self.r
        leaf = self.leaf(source)
        part = scalar(r, r.pick(("text", "int", "bool")), leaf, 0)
        order = (
            ", ".join(one.text.ours for one in source.keys),
            ", ".join(one.text.plain for one in source.keys),
        )
        number = scalar(r, "int", leaf, 1)
        template = r.pick(
            (
                "ROW_NUMBER() OVER (PARTITION BY {0} ORDER BY {1})",
                "RANK() OVER (ORDER BY {2})",
                "DENSE_RANK() OVER (PARTITION BY {0} ORDER BY {2} DESC)",
                "COUNT(*) OVER (PARTITION BY {0})",
                "MAX({2}) OVER (ORDER BY {1} ROWS BETWEEN 2 PRECEDING AND CURRENT ROW)",
                "LAG({2}) OVER (ORDER BY {1})",
                "LEAD({2}, 2, 0) OVER (PARTITION BY {0} ORDER BY {1})",
                "FIRST_VALUE({2}) OVER (PARTITION BY {0} ORDER BY {1} DESC)",
                "SUM({2}) OVER (PARTITION BY {0} ORDER BY {1})",
                "NTILE(3) OVER (ORDER BY {1})",
            )
        )
        return Pair(
            template.format(part.ours, order[0], number.ours),
            template.format(part.plain, order[1], number.plain),
        )

    def grouped(self, source: Source) -> Result:
        """A select with keys."""
        r = self.r
        keys: list[tuple[str, Pair]] = []
        for _ in range(r.number(1, 3)):
            kind = r.pick(KINDS)
            depth = 0 if r.chance(60) else 2
            keys.append((kind, scalar(r, kind, self.leaf(source, measures=r.chance(5)), depth)))
        aggregates = [self.aggregate(source) for _ in range(r.number(1, 3))]
        style = r.number(0, 4)
        kinds = [kind for kind, _ in (*keys, *aggregates)]
        items = [pair for _, pair in (*keys, *aggregates)]
        if style == 4 and len(keys) > 1 and _can_be_sets([pair.plain for _, pair in keys]):
            wrap = r.pick(("ROLLUP ({})", "CUBE ({})", "GROUPING SETS ({}, ())"))
            names = ", ".join(f"{number + 1}" for number in range(len(keys)))
            if "SETS" in wrap:
                names = ", ".join(f"({number + 1})" for number in range(len(keys)))
            group = same(wrap.format(names))
        elif style == 0:
            group = same(", ".join(str(number + 1) for number in range(len(keys))))
        elif style == 1 and not any(pair.ours.startswith("$") for pair in items):
            group = same(", ".join(f"c{number + 1}" for number in range(len(keys))))
        else:
            group = same(", ".join(str(number + 1) for number in range(len(keys))))
            simple = all(_is_column(pair.ours) for _, pair in keys)
            spelled = simple or (r.chance(40) and "$" not in str(keys))
            if spelled and not any(_is_constant(pair.ours) for _, pair in keys):
                group = Pair(
                    ", ".join(pair.ours for _, pair in keys),
                    ", ".join(pair.plain for _, pair in keys),
                )
        having = same("")
        if r.chance(25):
            having = self.having(source)
        condition = self.where(source)
        tail = Pair(*(f" GROUP BY {one}{two}" for one, two in zip(group, having, strict=True)))
        text = self.select("SELECT ", items, source, condition, tail)
        return self.finish(text, kinds, len(items))

    def having(self, source: Source) -> Pair:
        kind, value = self.aggregate(source)
        if kind in ("int", "numeric", "float"):
            end = self.r.pick((" > 0", " <> 1", " IS NOT NULL", " BETWEEN 1 AND 100"))
        elif kind == "bool":
            end = self.r.pick(("", " IS NOT TRUE"))
        else:
            end = " IS NOT NULL"
        return Pair(*(f" HAVING {one}{end}" for one in value))

    def total(self, source: Source) -> Result:
        """One row for all."""
        aggregates = [self.aggregate(source) for _ in range(self.r.number(1, 4))]
        text = self.select(
            "SELECT ", [pair for _, pair in aggregates], source, self.where(source), same("")
        )
        return Result(text, tuple(kind for kind, _ in aggregates))

    def set_operation(self, depth: int) -> Result:
        r = self.r
        kinds = [r.pick(KINDS) for _ in range(r.number(1, 3))]
        parts = []
        for _ in range(2):
            source = self.source(depth - 1)
            items = [scalar(r, kind, self.leaf(source), 1) for kind in kinds]
            parts.append(self.select("SELECT ", items, source, self.where(source), same("")))
        word = r.pick(("UNION", "UNION ALL", "INTERSECT", "EXCEPT", "EXCEPT ALL", "INTERSECT ALL"))
        text = Pair(*(f"{one} {word} {two}" for one, two in zip(*parts, strict=True)))
        return self.finish(text, kinds, len(kinds))

    def common_table(self, depth: int) -> Result:
        inner = self.statement(depth - 1)
        source = self.as_source(inner)
        name = self.alias()
        alias = source.columns[0].text.ours.partition(".")[0]
        source.text = same(f"{name} AS {alias}")
        result = self.rows(source) if self.r.chance(50) else self.grouped(source)
        return Result(
            Pair(
                *(f"WITH {name} AS ({a}) {b}" for a, b in zip(inner.text, result.text, strict=True))
            ),
            result.kinds,
            result.ordered,
        )

    def join_of_groups(self, depth: int) -> Result:
        """Two grouped subqueries, joined on their first columns (J5)."""
        r = self.r
        kind = r.pick(("text", "int", "date"))
        sides = []
        for _ in range(2):
            source = self.source(depth - 1)
            key = scalar(r, kind, self.leaf(source), 0)
            total_kind, total = self.aggregate(source)
            text = self.select(
                "SELECT ", [key, total], source, self.where(source), same(" GROUP BY 1")
            )
            sides.append(self.as_source(Result(text, (kind, total_kind))))
        left, right = sides
        join = r.pick(("JOIN", "LEFT JOIN", "FULL JOIN", "RIGHT JOIN"))
        equal = "=" if join == "FULL JOIN" else r.pick(("=", "IS NOT DISTINCT FROM"))
        condition = f"{left.columns[0].text.ours} {equal} {right.columns[0].text.ours}"
        text = Pair(
            *(f"{a} {join} {b} ON {condition}" for a, b in zip(left.text, right.text, strict=True))
        )
        columns = left.columns + right.columns
        return self.rows(Source(text, columns, [], columns))

    def select(
        self, head: str, items: list[Pair], source: Source, condition: Pair, tail: Pair
    ) -> Pair:
        listed = [
            ", ".join(f"{item[side]} AS c{number}" for number, item in enumerate(items, start=1))
            for side in (0, 1)
        ]
        return Pair(
            f"{head}{listed[0]} FROM {source.text.ours}{condition.ours}{tail.ours}",
            f"{head}{listed[1]} FROM {source.text.plain}{condition.plain}{tail.plain}",
        )

    def finish(self, text: Pair, kinds: list[str], width: int) -> Result:
        """ORDER BY all that tells rows apart, and sometimes LIMIT and OFFSET."""
        r = self.r
        if not r.chance(40):
            return Result(text, tuple(kinds))
        order = [
            f"{'c' if r.chance(30) else ''}{number}{self.direction()}"
            for number in range(1, width + 1)
        ]
        tail = f" ORDER BY {', '.join(order)}"
        if r.chance(50):
            tail += f" LIMIT {r.number(0, 8)}"
            if r.chance(30):
                tail += f" OFFSET {r.number(0, 4)}"
        return Result(Pair(text.ours + tail, text.plain + tail), tuple(kinds), ordered=True)

    def direction(self) -> str:
        return self.r.pick(("", " DESC", " ASC", " NULLS FIRST", " DESC NULLS LAST"))


def _is_column(text: str) -> bool:
    return text.replace(".", "").replace("_", "").isalnum() and not text.isdigit()


def _can_be_sets(keys: list[str]) -> bool:
    """Whether PostgreSQL 16 tells the keys apart, and sorts by each of them.

    It takes a constant for one, and does not sort by it, where a grouping set has made it NULL;
    and it takes equal expressions for one key, whatever columns they stand for in a cube.
    """
    return len(set(keys)) == len(keys) and all(re.search(r"[a-z]\w*\.[a-z]", key) for key in keys)


def _is_constant(text: str) -> bool:
    return text[0] in "-$0123456789'" or text.isupper()
