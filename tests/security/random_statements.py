"""Random statements over the cubes of the twin worlds: what an attacker might try, and more."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st

from tests.security.twins import RANDOM_CUBES, SOURCES, USERS

COLUMNS = {
    "people": {
        "id": "int",
        "team": "text",
        "name": "text",
        "pay": "int",
        "note": "text",
        "born": "date",
        "share": "int",
        "vacant": "int",
    },
    "some": {"id": "int", "team": "text", "pay": "int", "name": "text"},
    "sales": {
        "id": "int",
        "person_id": "int",
        "code": "text",
        "first": "text",
        "sold": "time",
        "hidden_code": "text",
    },
    "overview": {"id": "int", "code": "text", "sold": "time", "team": "text", "pay": "int"},
    "vault": {"id": "int", "name": "text"},
}
COLUMNS |= {f"random{number}": COLUMNS["people"] for number in range(RANDOM_CUBES)}
MEASURES = {
    "people": ("count", "total", "most", "names", "mean"),
    "some": ("count", "total"),
    "sales": ("count", "revenue", "codes"),
    "overview": ("count", "revenue"),
    "vault": ("count",),
}
MEASURES |= {f"random{number}": MEASURES["people"] for number in range(RANDOM_CUBES)}

_WAYS = {
    "int": (
        "10 / {}", "{} + 2147483000", "-{}", "{} % {}", "sqrt({})", "chr({})", "{}::smallint",
        "{}::text", "power(2, {})", "nullif({}, 0)", "coalesce({}, 0)", "abs({})", "{}",
        "CASE WHEN {} > 5 THEN 1 / {} ELSE 0 END", "ln({})", "repeat('x', {})",
    ),
    "text": (
        "{}::int", "{}::date", "length({})", "substring({} FROM 2)", "{} || 'x'", "upper({})",
        "'a' LIKE {}", "left({}, 1)", "{}", "split_part({}, '1', 1)", "{}::numeric", "ascii({})",
        "'[' || {} = 'b'", "coalesce({}, '')", "to_date({}, 'YYYY-MM-DD')", "lpad({}, 3)",
    ),
    "date": (
        "extract(year FROM {})", "{} + interval '1 year'", "date_trunc('month', {})", "{}",
        "to_char({}, 'YYYY')", "{} - date '2000-01-01'",
    ),
    "time": (
        "date_trunc('day', {})", "extract(hour FROM {})", "{} + interval '1000 years'", "{}",
        "to_char({}, 'HH24')", "{}::date", "{} AT TIME ZONE 'America/New_York'",
    ),
}  # fmt: skip
_TESTS = ("{} IS NOT NULL", "{} IS NULL", "({})::text > '1'", "({})::text <> ''", "{} IN ({})")
_AGGREGATES = (
    "max({})",
    "min({})",
    "count({})",
    "array_agg(({})::text ORDER BY ({})::text)",
    "count(DISTINCT {})",
    "sum(length(({})::text))",
)


@dataclass(frozen=True, slots=True)
class Attempt:
    user: str
    sql: str


@st.composite
def attempts(draw: st.DrawFn) -> Attempt:
    """A user and a statement of theirs."""
    source = draw(st.sampled_from(SOURCES))
    user = draw(st.sampled_from(tuple(USERS)))
    sql = draw(_statement(source))
    form = draw(st.sampled_from(_FORMS))
    return Attempt(user, form.format(sql))


_FORMS = (
    *("{0}",) * 12,
    "EXPLAIN {0}",
    "EXPLAIN (FORMAT JSON) {0}",
    "PREPARE q AS {0}; EXECUTE q; DEALLOCATE q",
    "BEGIN; DECLARE c CURSOR FOR {0}; FETCH ALL FROM c; CLOSE c; COMMIT",
    "CREATE TEMP TABLE t AS {0}; SELECT count(*) FROM t; DROP TABLE t",
    "SET TimeZone = 'Asia/Kathmandu'; {0}; RESET TimeZone",
)


@st.composite
def _expression(draw: st.DrawFn, cube: str, alias: str) -> str:
    name, kind = draw(st.sampled_from(tuple(COLUMNS[cube].items())))
    way = draw(st.sampled_from(_WAYS[kind]))
    return way.format(*[f"{alias}.{name}"] * way.count("{}"))


@st.composite
def _condition(draw: st.DrawFn, cube: str, alias: str) -> str:
    parts = []
    for _ in range(draw(st.integers(1, 3))):
        test = draw(st.sampled_from(_TESTS))
        expression = draw(_expression(cube, alias))
        parts.append(test.format(*[expression] * test.count("{}")))
    return draw(st.sampled_from((" AND ", " OR "))).join(f"({part})" for part in parts)


@st.composite
def _statement(draw: st.DrawFn, source: str) -> str:
    cube = draw(st.sampled_from(tuple(COLUMNS)))
    where = f" WHERE {draw(_condition(cube, 'a'))}" if draw(st.booleans()) else ""
    table = f"{cube}_{source} a"
    # Rows of two data sources meet in the stage.
    second_source = draw(st.sampled_from((source, *SOURCES)))
    kind = draw(st.integers(0, 9))
    if kind <= 2:
        expression = draw(_expression(cube, "a"))
        return f"SELECT {expression} AS x FROM {table}{where}"
    if kind <= 4:
        key, aggregate = draw(_expression(cube, "a")), draw(_aggregate(cube))
        grouping = draw(st.sampled_from(("1", "ROLLUP (1)", "GROUPING SETS ((1), ())")))
        grouping = grouping.replace("1", key) if "(" in grouping else grouping
        return f"SELECT {key} AS k, {aggregate} AS v FROM {table}{where} GROUP BY {grouping}"
    if kind == 5:
        return f"SELECT {draw(_aggregate(cube))} AS v, count(*) AS n FROM {table}{where}"
    if kind == 6:
        ordered = draw(_expression(cube, "a"))
        return f"SELECT a.id, rank() OVER (ORDER BY ({ordered})::text) AS r FROM {table}{where}"
    if kind == 7:
        other = draw(st.sampled_from(("people", "sales")))
        join = draw(st.sampled_from(("JOIN", "LEFT JOIN", "FULL JOIN", "RIGHT JOIN")))
        condition = draw(st.sampled_from(("a.id = b.id", "a.id = b.id AND 10 / b.id > 0")))
        joined = f"{table} {join} {other}_{second_source} b ON {condition}"
        return f"SELECT count(*) AS n, count(b.id) AS m FROM {joined}{where}"
    if kind == 8:
        inner = draw(_expression("people", "b"))
        return (
            f"SELECT a.id, (SELECT max(({inner})::text) FROM people_{second_source} b "
            f"WHERE b.id >= a.id) AS x FROM {table}{where}"
        )
    expression, second = draw(_expression(cube, "a")), draw(_expression("people", "b"))
    operation = draw(st.sampled_from(("UNION", "EXCEPT", "INTERSECT", "UNION ALL")))
    return (
        f"WITH w AS (SELECT ({expression})::text AS x FROM {table}{where}) SELECT x FROM w "
        f"{operation} SELECT ({second})::text FROM people_{second_source} b"
    )


@st.composite
def _aggregate(draw: st.DrawFn, cube: str) -> str:
    if draw(st.booleans()):
        return f"MEASURE(a.{draw(st.sampled_from(MEASURES[cube]))})"
    function = draw(st.sampled_from(_AGGREGATES))
    expression = draw(_expression(cube, "a"))
    return function.format(*[expression] * function.count("{}"))
