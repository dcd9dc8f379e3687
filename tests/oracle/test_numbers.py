"""Numbers through subqueries, set operations, aggregates and windows, digit for digit."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.oracle.harness import Laboratory
from tests.oracle.statements import Case

EXAMPLES = int(os.environ.get("ORACLE_EXAMPLES", "100"))
ANSWERED_AT_LEAST = 0.75

_LEAVES = (
    *("price", "qty", "id", "grp", "home_id", "big"),
    *("4.0", "3", "0.05", "7", "100.0", "-2.25", "0", "1.50", "1000000"),
)
_FORMS = (
    "({} + {})",
    "({} - {})",
    "({} * {})",
    "({} / NULLIF({}, 0))",
    "({} / 7.0)",
    "({} % NULLIF({}, 0))",
    "ROUND({}, 2)",
    "TRUNC({}, 1)",
    "FLOOR({})",
    "CEIL({})",
    "ABS({})",
    "(- {})",
    "CASE WHEN qty > 2 THEN {} ELSE {} END",
    "CASE WHEN {} > {} THEN {} END",
    "COALESCE({}, {})",
    "NULLIF({}, {})",
    "GREATEST({}, {})",
    "LEAST({}, {}, 0.5)",
    "{}::numeric",
    "CAST({} AS numeric(18, 2))",
    "{}::text::numeric",
    "{}::float8::numeric",
)
# ``{e}`` is a random expression. What is after ``~`` shows any one of equal numbers.
_STATEMENTS = (
    "SELECT id, {e} AS a FROM items",
    "SELECT id, a, a * 2 AS b, a / 3 AS c, a + 1 AS d FROM (SELECT id, {e} AS a FROM items) AS q",
    "SELECT id, a - b AS c, a > b AS d, a = b AS e FROM "
    "(SELECT id, {e} AS a, {e} AS b FROM items) AS q",
    "WITH w AS (SELECT id, {e} AS a FROM items) SELECT id, a, ROUND(a, 3) AS b FROM w WHERE a > 0",
    "SELECT id, a FROM (SELECT id, {e} AS a FROM items UNION ALL SELECT id, {e} FROM items) AS q",
    "SELECT {e} AS a FROM items UNION ALL SELECT 5 UNION ALL SELECT 2.5",
    "SELECT COUNT(*) AS n FROM (SELECT {e} AS a FROM items UNION SELECT {e} FROM items) AS q",
    "~SELECT {e} AS a FROM items EXCEPT SELECT {e} FROM items",
    "~SELECT {e} AS a FROM items INTERSECT ALL SELECT {e} FROM items",
    "~SELECT DISTINCT {e} AS a FROM items",
    "~SELECT {e} AS a, COUNT(*) AS n FROM items GROUP BY 1",
    "~SELECT a, a + 1 AS b, SUM(a) AS c FROM (SELECT {e} AS a FROM items) AS q GROUP BY ROLLUP (a)",
    "SELECT SUM({e}) AS a, AVG({e}) AS b FROM items",
    "SELECT grp, SUM({e}) AS a, AVG({e}) AS b, COUNT(DISTINCT {e}) AS c FROM items GROUP BY grp",
    "SELECT SUM(a) AS a, AVG(a) AS b, SUM(a) / COUNT(a) AS c FROM "
    "(SELECT grp, AVG({e}) AS a FROM items GROUP BY grp) AS q",
    "~SELECT MAX(a) AS a, MIN(a) AS b FROM (SELECT grp, SUM({e}) AS a FROM items GROUP BY 1) AS q",
    "SELECT id, SUM(a) OVER (ORDER BY id) AS b, AVG(a) OVER (PARTITION BY grp) AS c, "
    "LAG(a) OVER (ORDER BY id) AS d, LEAD(a, 1, 0) OVER (ORDER BY id) AS e FROM "
    "(SELECT id, grp, {e} AS a FROM items) AS q",
    "SELECT id, RANK() OVER (ORDER BY {e}) AS a FROM items",
    "SELECT id FROM items WHERE {e} BETWEEN {e} AND {e}",
    "SELECT id FROM items WHERE {e} IN (SELECT {e} FROM items)",
    "SELECT id FROM items WHERE {e} IN (0, 1.50, {e})",
    "SELECT id, {e} - (SELECT AVG({e}) FROM items) AS a FROM items",
    "SELECT grp FROM items GROUP BY grp HAVING AVG({e}) > SUM({e})",
    "SELECT x, x / 3 AS y FROM (VALUES (1), (2.50), (NULL), (-0.125)) AS v(x)",
)


@st.composite
def expressions(draw: st.DrawFn, depth: int = 2) -> str:
    if depth == 0 or draw(st.integers(0, 3)) == 0:
        return draw(st.sampled_from(_LEAVES))
    form = draw(st.sampled_from(_FORMS))
    return _filled(form, "{}", lambda: draw(expressions(depth - 1)))


def _filled(text: str, place: str, make: Callable[[], str]) -> str:
    while place in text:
        text = text.replace(place, make(), 1)
    return text


@st.composite
def cases(draw: st.DrawFn) -> Case:
    text = _filled(draw(st.sampled_from(_STATEMENTS)), "{e}", lambda: draw(expressions()))
    ours = text.removeprefix("~")
    plain = ours.replace("FROM items", "FROM items_rows")
    return Case(ours, plain, ordered=False, loose=text.startswith("~"))


def test_numbers_keep_their_digits(lab: Laboratory) -> None:
    counts: dict[str, int] = {}

    @settings(
        max_examples=EXAMPLES,
        derandomize="ORACLE_EXAMPLES" not in os.environ,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(cases())
    def check(case: Case) -> None:
        problem = lab.problem(case, counts)
        # More digits than can be computed with is a clean error.
        if "22003 a numeric value has more digits" not in problem:
            assert not problem, f"{problem}\n{case.ours}"

    check()
    assert counts["answered"] >= ANSWERED_AT_LEAST * sum(counts.values()), counts


@pytest.mark.parametrize("value", ["0.5", "-0.05", "0.0", "-0.00", "0.500", "7.0", "100"])
def test_a_parameter_keeps_its_digits(lab: Laboratory, value: str) -> None:
    sql = "SELECT $1::numeric AS a, MAX($1::numeric)::text AS b, $1::numeric + 1 AS c FROM {}"
    case = Case(sql.format("places"), sql.format("places_rows"), values=(value,), oids=(0,))
    assert lab.problem(case) == ""
    assert not any(client.ask(case.ours, (value,), (0,)).sqlstate for client in lab.ours.values())
