"""The statement grammar accepts and refuses what PostgreSQL's does, with its words and positions.

Parse of the extended protocol only parses a utility statement: PostgreSQL judges, nothing runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from semantic.compiler.statements import Select, parse_statement, split
from semantic.compiler.utility.keywords import RESERVED, TYPE_OR_FUNCTION
from semantic.errors import SemanticError
from tests.support.oracle import OraclePostgres

TESTDATA = Path(__file__).parent / "testdata"
STATEMENTS = [
    line.encode().decode("unicode_escape") if "\\n" in line else line
    for line in (TESTDATA / "accepted_or_not.txt").read_text().splitlines()
    if line and not line.startswith("#")
]


@pytest.fixture(scope="module")
def postgres(oracle: OraclePostgres) -> Iterator[psycopg.Connection]:
    with psycopg.connect(oracle.dsn, autocommit=True) as connection:
        yield connection


def syntax_fault(postgres: psycopg.Connection, text: str) -> tuple[str, str, str | None] | None:
    """PostgreSQL's complaint about the grammar of a text; None where it has none."""
    result = postgres.pgconn.prepare(b"", text.encode())
    field = psycopg.pq.DiagnosticField
    state = (result.error_field(field.SQLSTATE) or b"").decode()
    if not state or state == "42704":
        # SHOW of an unknown setting is found when it is looked up, not by the grammar.
        return None
    message = (result.error_field(field.MESSAGE_PRIMARY) or b"").decode()
    position = (result.error_field(field.STATEMENT_POSITION) or b"").decode() or None
    return state, message, position


@pytest.mark.parametrize("text", STATEMENTS)
def test_same_judgement_as_postgres(postgres: psycopg.Connection, text: str) -> None:
    expected = syntax_fault(postgres, text)
    try:
        parse_statement(text)
        actual = None
    except SemanticError as error:
        actual = (error.sqlstate, error.message, str(error.position) if error.position else None)
    assert actual == expected


# Faults that PostgreSQL finds when the statement runs.
RUN_TIME = [
    line
    for line in (TESTDATA / "refused_when_run.txt").read_text().splitlines()
    if line and not line.startswith("#")
]


@pytest.mark.parametrize("text", RUN_TIME)
def test_same_refusal_as_postgres_running_it(postgres: psycopg.Connection, text: str) -> None:
    with pytest.raises(psycopg.Error) as caught:
        postgres.execute(f"BEGIN; {text}")
    postgres.execute("ROLLBACK")
    with pytest.raises(SemanticError) as ours:
        parse_statement(text)
    assert (ours.value.sqlstate, ours.value.message) == (
        caught.value.diag.sqlstate,
        caught.value.diag.message_primary,
    )


def test_keywords_are_those_of_the_server(postgres: psycopg.Connection) -> None:
    rows = postgres.execute("SELECT word, catcode FROM pg_get_keywords()").fetchall()
    assert {word for word, code in rows if code == "R"} == RESERVED
    assert {word for word, code in rows if code == "T"} == TYPE_OR_FUNCTION


PIECES = st.sampled_from(
    [
        "select 1", "'a'", "'it''s'", "E'\\''", "e'\\\\'", '"q""q"', "$$ ; $$", "$x$ $$ ; $x$", ";",
        "/* ; /* ; */ */", "-- ;\n", "a$b$", "$1", "1", " ", "\n", "U&'\\0041'", "x'1f'", "(", ")",
        "'a'\n'b'", "'a' -- ;\n 'b;'", "+", "::text", "x", "$", "''", "e", "u&\"a\"", "é$$;$$",
    ]
)  # fmt: skip


@given(st.lists(PIECES, max_size=12))
@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_split_finds_as_many_statements_as_postgres(
    postgres: psycopg.Connection, pieces: list[str]
) -> None:
    sql = "".join(pieces)
    fault = syntax_fault(postgres, sql)
    several = fault is not None and "multiple commands" in fault[1]
    if fault is not None and not several:
        return
    texts = split(sql)
    assert several == (len(texts) > 1)
    for statement in texts:
        assert sql.startswith(statement.text, statement.offset)
        assert isinstance(parse_statement(statement.text), Select)
