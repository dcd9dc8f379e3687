"""``WHERE __user = 'x'``: what is plainly that, and nothing else."""

from __future__ import annotations

import pytest

from semantic.compiler.acting import LONGEST, acting_statement
from semantic.errors import UnsupportedError

TAKEN = {
    "SELECT * FROM f WHERE __user='x'": "SELECT * FROM f WHERE TRUE      ",
    "SELECT a FROM f WHERE a=1 AND ('x' = f.\"__user\" ) AND b": (
        "SELECT a FROM f WHERE a=1 AND (TRUE             ) AND b"
    ),
    "SELECT a FROM public.f WHERE f.__USER = 'x' LIMIT 1": (
        "SELECT a FROM public.f WHERE TRUE           LIMIT 1"
    ),
    "WITH c AS (SELECT * FROM f WHERE __user='x') SELECT * FROM c": (
        "WITH c AS (SELECT * FROM f WHERE TRUE      ) SELECT * FROM c"
    ),
    "SELECT * FROM f JOIN g ON f.a=g.a WHERE f.__user='x' AND g.__user='x'": (
        "SELECT * FROM f JOIN g ON f.a=g.a WHERE TRUE         AND TRUE        "
    ),
    "SELECT 1 FROM f WHERE a IN (SELECT b FROM g WHERE __user='x')": (
        "SELECT 1 FROM f WHERE a IN (SELECT b FROM g WHERE TRUE      )"
    ),
    "SELECT 1 FROM f WHERE /* __user */ __user='x' -- __user": (
        "SELECT 1 FROM f WHERE /* __user */ TRUE       -- __user"
    ),
}

LEFT_ALONE = (
    "SELECT 1",
    "SELECT * FROM f WHERE a = '__user'",
    "SELECT * FROM f WHERE \"__USER\" = 'x'",
    "SELECT __user_ FROM f",
)

REFUSED = (
    "SELECT __user FROM f",
    "SELECT * FROM f WHERE __user='x' OR a=1",
    "SELECT * FROM f WHERE NOT __user='x'",
    "SELECT * FROM f WHERE (__user='x') IS NOT FALSE",
    "SELECT * FROM f WHERE __user<>'x'",
    "SELECT * FROM f WHERE __user LIKE 'x'",
    "SELECT * FROM f WHERE __user IN ('x')",
    "SELECT * FROM f WHERE __user = $1",
    "SELECT * FROM f WHERE __user = current_user",
    "SELECT * FROM f WHERE __user = NULL",
    "SELECT * FROM f WHERE __user = 'a' || 'b'",
    "SELECT * FROM f WHERE __user = 'x'::text",
    "SELECT * FROM f WHERE __user = 'x' COLLATE \"C\"",
    "SELECT * FROM f WHERE 'x' = __user = TRUE",
    "SELECT * FROM f WHERE __user = 'a'\n'b'",
    "SELECT * FROM f WHERE CASE WHEN __user='x' THEN TRUE END",
    "SELECT * FROM f GROUP BY a HAVING __user='x'",
    "SELECT count(*) FILTER (WHERE __user='x') FROM f",
    "SELECT * FROM f JOIN g ON f.__user='x'",
    "SELECT * FROM f ORDER BY __user",
    "SELECT * FROM (SELECT * FROM f) q WHERE q.__user='x'",
    "SELECT * FROM f WHERE g.__user='x'",
    "SELECT 'x' AS __user FROM f WHERE __user='x'",
    "WITH f AS (SELECT 'x' AS __user) SELECT * FROM f WHERE __user='x'",
    "SELECT * FROM f JOIN g USING (__user) WHERE __user='x'",
    "SELECT * FROM f WHERE __user='x' AND __user='y'",
    "SELECT * FROM f WHERE __user='x' UNION SELECT * FROM f WHERE __user='y'",
    "SELECT * FROM f WHERE __user='x' -- " + "x" * LONGEST,
)


@pytest.mark.parametrize("sql", TAKEN)
def test_conditions_are_taken_away_in_place(sql: str) -> None:
    found = acting_statement(sql)
    assert found is not None
    assert (found.user, found.sql) == ("x", TAKEN[sql])
    assert sql[found.position - 1 :].lower().startswith(("__user", "f.__user", "'x' = f"))


@pytest.mark.parametrize("sql", LEFT_ALONE)
def test_what_does_not_speak_of_it(sql: str) -> None:
    assert acting_statement(sql) is None


@pytest.mark.parametrize("sql", REFUSED)
def test_every_other_use_is_refused(sql: str) -> None:
    with pytest.raises(UnsupportedError) as refused:
        acting_statement(sql)
    assert "__user" in refused.value.message
    assert "SET ROLE" in (refused.value.hint or "")
