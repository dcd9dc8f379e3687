"""Measures over time in plain SQL, written down a second time: what PostgreSQL has to say of them.

Each group's value is a subquery over the table, so nothing here is shared with the compiler.
"""

from __future__ import annotations

from dataclasses import dataclass

TABLE = """
CREATE TABLE moments (id integer, moment timestamp, day date, instant timestamptz, kind text,
  place text, units integer, amount numeric(8,2));
"""
TIMES = ("moment", "day", "instant")
LENGTHS = {
    "hour": "1 hour",
    "day": "1 day",
    "week": "7 days",
    "month": "1 month",
    "quarter": "3 months",
    "year": "1 year",
}


@dataclass(frozen=True)
class Window:
    """A rolling window: its bounds, ``unbounded`` or an interval, or the start of a period."""

    name: str
    trailing: str | None = None
    leading: str | None = None
    offset: str = "end"
    to_date: str | None = None

    def yaml(self) -> str:
        if self.to_date:
            return f"{{type: to_date, granularity: {self.to_date}, time_dimension: TIME}}"
        parts = [f"offset: {self.offset}", "time_dimension: TIME"]
        parts += [f"trailing: {self.trailing}"] * bool(self.trailing)
        parts += [f"leading: {self.leading}"] * bool(self.leading)
        return f"{{{', '.join(parts)}}}"

    def holds(self, row: str, point: Point) -> str:
        """The condition that a row's time lies in the window of a point."""
        if self.to_date:
            last = point.start if point.is_moment else f"{point.end} - interval '1 microsecond'"
            start = f"date_trunc('{self.to_date}', {last})"
            end = "<=" if point.is_moment else "<"
            return f"{row} >= {start} AND {row} {end} {point.end}"
        base = point.start if self.offset == "start" else point.end
        after, before = ">=", "<"
        if point.is_moment and self.offset == "end":
            after, before = ">", "<="
        conditions = [f"{row} IS NOT NULL"]
        if self.trailing != "unbounded":
            lower = f" - interval '{self.trailing}'" if self.trailing else ""
            conditions.append(f"{row} {after} {base}{lower}")
        if self.leading != "unbounded":
            upper = f" + interval '{self.leading}'" if self.leading else ""
            conditions.append(f"{row} {before} {base}{upper}")
        return " AND ".join(conditions)


@dataclass(frozen=True)
class Point:
    """Where a group stands in time: its period's start and end, or one moment."""

    start: str
    end: str
    is_moment: bool


WINDOWS = (
    Window("trailing_7_days", trailing="7 days"),
    Window("trailing_month", trailing="1 month"),
    Window("around", trailing="36 hours", leading="1 day"),
    Window("before", trailing="2 weeks", offset="start"),
    Window("ahead", leading="1 month", offset="start"),
    Window("so_far", trailing="unbounded"),
    Window("from_here", leading="unbounded", offset="start"),
    Window("of_year", to_date="year"),
    Window("of_month", to_date="month"),
    Window("of_week", to_date="week"),
)
SHIFTS = {
    "day_ago": "1 day",
    "week_ago": "7 days",
    "month_ago": "1 month",
    "quarter_ago": "3 months",
    "year_ago": "1 year",
}
# Which units of a key are moved to units of the same kind.
ALIGNED = {
    None: set(SHIFTS),
    "raw": set(SHIFTS),
    "hour": set(SHIFTS),
    "day": set(SHIFTS),
    "week": {"week_ago"},
    "month": {"month_ago", "quarter_ago", "year_ago"},
    "quarter": {"quarter_ago", "year_ago"},
    "year": {"year_ago"},
}
AGGREGATES = {"total": "sum(units)", "rows": "count(*)", "kinds": "count(DISTINCT kind)"}
FLAT = ("share", "place_rank", "per_place", "all_total", "last_total", "best_day", "last_rows")


def model_text() -> str:
    """The model: each window and shift of each time dimension and aggregate."""
    lines = [
        "cubes:",
        "  - name: moments",
        "    sql_table: moments",
        "    dimensions:",
        '      - {name: id, type: number, sql: "{CUBE}.id", primary_key: true}',
        *(f'      - {{name: {time}, type: time, sql: "{{CUBE}}.{time}"}}' for time in TIMES),
        *(f"      - {{name: {n}, type: string, sql: {n}}}" for n in ("kind", "place")),
        '      - {name: units, type: number, sql: "{CUBE}.units"}',
        "    measures:",
        "      - {name: total, type: sum, sql: units}",
        "      - {name: rows, type: count}",
        "      - {name: kinds, type: count_distinct, sql: kind}",
        _multi("share", "number", '"CAST({total} AS double precision) / NULLIF({others}, 0)"'),
        _multi("others", "number", '"{total}"', "reduce_by: [kind]"),
        _multi("all_total", "sum", '"{total}"', "group_by: [place]"),
        _multi("per_place", "avg", '"{rows}"', "add_group_by: [place]"),
        "      - {name: place_rank, type: rank, multi_stage: true, reduce_by: [kind], "
        'order_by: [{sql: "{rows}", dir: desc}, {sql: "{total}"}]}',
        _semi("last_total", "sum, sql: units", "last"),
        _semi("last_rows", "count", "first, group_by: [place]"),
        _semi("best_day", "sum, sql: units", "max"),
    ]
    kinds = {"total": "sum, sql: units", "rows": "count", "kinds": "count_distinct, sql: kind"}
    for time in TIMES:
        for aggregate, kind in kinds.items():
            for window in WINDOWS:
                text = window.yaml().replace("TIME", time)
                name = f"{aggregate}_{window.name}_{time}"
                lines.append(f"      - {{name: {name}, type: {kind}, rolling_window: {text}}}")
            for name, interval in SHIFTS.items():
                shift = f"[{{time_dimension: {time}, interval: {interval}, type: prior}}]"
                lines.append(
                    _multi(
                        f"{aggregate}_{name}_{time}",
                        "number",
                        f'"{{{aggregate}}}"',
                        f"time_shift: {shift}",
                    )
                )
    return "\n".join(lines) + "\n"


def _multi(name: str, kind: str, sql: str, rest: str = "") -> str:
    tail = f", {rest}" if rest else ""
    return f"      - {{name: {name}, type: {kind}, multi_stage: true, sql: {sql}{tail}}}"


def _semi(name: str, kind: str, choice: str) -> str:
    rule = f"{{dimension: day, choice: {choice}}}"
    return f"      - {{name: {name}, type: {kind}, non_additive: {rule}}}"


@dataclass(frozen=True)
class Question:
    """A grouped query over the moments.

    Attributes:
        time: the time dimension.
        unit: of its key; ``raw`` for the value itself, None for no time key.
        kind: whether the kind is a key.
        bounds: of a filter on the time, as texts of the first days of months.
        filter: on something else.
    """

    time: str
    unit: str | None
    kind: bool
    bounds: tuple[str, str] | None
    filter: str | None

    @property
    def key(self) -> str | None:
        if self.unit is None or self.unit == "raw":
            return self.time if self.unit else None
        return f"date_trunc('{self.unit}', {self.time})"

    @property
    def where(self) -> str:
        parts = [self.filter] if self.filter else []
        if self.bounds:
            low, high = self.bounds
            parts.append(f"{self.time} >= '{low}' AND {self.time} < '{high}'")
        return f" WHERE {' AND '.join(parts)}" if parts else ""

    def measured(self, measures: list[str]) -> str:
        """The statement of a client."""
        keys = self._keys()
        items = [f"EXTRACT(EPOCH FROM {k})" if k == self.key else k for k in keys]
        group = f" GROUP BY {', '.join(keys)}" if keys else " HAVING true"
        return f"SELECT {', '.join([*items, *measures])} FROM moments{self.where}{group}"

    def reference(self, measures: list[str]) -> str:
        """The same in plain SQL."""
        keys = self._keys()
        named = [f"{key} AS {'p' if key == self.key else 'k'}" for key in keys]
        group = f" GROUP BY {', '.join(keys)}" if keys else ""
        groups = f"SELECT {', '.join([*named, 'count(*) AS n'])} FROM moments{self.where}{group}"
        items = ["EXTRACT(EPOCH FROM g.p)" if k == self.key else "g.k" for k in keys]
        values = [self._value(measure) for measure in measures]
        return f"WITH g AS ({groups}) SELECT {', '.join([*items, *values])} FROM g"

    def _keys(self) -> list[str]:
        return [*([self.key] if self.key else []), *(["kind"] if self.kind else [])]

    def _value(self, measure: str) -> str:
        if measure in FLAT:
            return self._flat(measure)
        aggregate, _, rest = measure.partition("_")
        name = rest.rpartition("_")[0]
        window = next((item for item in WINDOWS if item.name == name), None)
        condition = self._windowed(window) if window else self._shifted(SHIFTS[name])
        return f"(SELECT {AGGREGATES[aggregate]} FROM moments r WHERE {condition})"

    def _same(self) -> list[str]:
        found = [self.filter] if self.filter else []
        return found + (["r.kind IS NOT DISTINCT FROM g.k"] if self.kind else [])

    def _windowed(self, window: Window) -> str:
        is_date = self.time == "day"
        start = "g.p" if self.unit else f"(SELECT max({self.time}) FROM moments{self.where})"
        length = LENGTHS.get(self.unit or "", "1 day" if is_date else "")
        end = f"({start} + interval '{length}')" if length else start
        point = Point(f"({start})", end, not length)
        return " AND ".join([*self._same(), window.holds(f"r.{self.time}", point)])

    def _shifted(self, interval: str) -> str:
        time = f"r.{self.time}"
        conditions = [*self._same(), f"{time} IS NOT NULL"]
        if self.bounds:
            low, high = (
                f"{_literal(self.time, text)} - interval '{interval}'" for text in self.bounds
            )
            conditions.append(f"{time} >= {low} AND {time} < {high}")
        if self.unit == "raw":
            conditions.append(f"{time} = g.p - interval '{interval}'")
        elif self.unit:
            conditions.append(f"date_trunc('{self.unit}', {time}) = g.p - interval '{interval}'")
        return " AND ".join(conditions)

    def _flat(self, measure: str) -> str:
        """A measure that looks at other groups, or at some of its group's rows."""
        rows = f"SELECT * FROM moments{self.where}"
        same_time = f"({self.key}) IS NOT DISTINCT FROM g.p" if self.key else "true"
        same_kind = "kind IS NOT DISTINCT FROM g.k" if self.kind else "true"
        inside = f"FROM ({rows}) r WHERE {same_time} AND {same_kind}"
        if measure == "share":
            total = f"(SELECT sum(units) FROM ({rows}) r WHERE {same_time})"
            return f"(SELECT sum(units) {inside})::float8 / nullif({total}, 0)"
        if measure == "place_rank":
            if not self.kind:
                return "1"
            counted = "count(*) AS c, sum(units) AS u"
            ranked = f"SELECT {counted} FROM ({rows}) r WHERE {same_time} GROUP BY kind"
            mine = f"(SELECT {counted} {inside}) mine"
            second = "x.u < mine.u OR (x.u IS NOT NULL AND mine.u IS NULL)"
            ahead = f"x.c > mine.c OR (x.c = mine.c AND ({second}))"
            return f"(SELECT 1 + count(*) FROM ({ranked}) x, {mine} WHERE {ahead})"
        if measure == "per_place":
            return f"(SELECT avg(c) FROM (SELECT count(*) AS c {inside} GROUP BY place) x)"
        if measure == "all_total":
            return f"(SELECT sum(units) FROM ({rows}) r)"
        ends = {
            "last_total": ("sum(units)", f"day = (SELECT max(day) {inside})"),
            "last_rows": (
                "count(*)",
                f"day = (SELECT min(s.day) FROM ({rows}) s WHERE "
                + f"{same_time} AND {same_kind} AND s.place IS NOT DISTINCT FROM r.place)",
            ),
        }
        if measure in ends:
            aggregate, condition = ends[measure]
            return f"(SELECT {aggregate} {inside} AND {condition})"
        daily = f"SELECT sum(units) AS u {inside} AND day IS NOT NULL GROUP BY day"
        return f"(SELECT max(u) FROM ({daily}) x)"


def _literal(time: str, text: str) -> str:
    kind = {"moment": "timestamp", "day": "date", "instant": "timestamptz"}[time]
    return f"{kind} '{text}'"
