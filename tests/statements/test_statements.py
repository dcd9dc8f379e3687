"""What the statement grammar makes of its texts: values, offsets, speed of the first look."""

from __future__ import annotations

import contextlib
import time

import pytest

from semantic.compiler.statements import (
    Begin,
    CloseCursor,
    Commit,
    CopyIn,
    CopyOptions,
    CopyOut,
    CopyServer,
    Deallocate,
    Declare,
    Discard,
    Execute,
    Explain,
    Fetch,
    Listen,
    Lock,
    Notify,
    Other,
    Prepare,
    Release,
    Reset,
    Rollback,
    RollbackTo,
    Savepoint,
    Select,
    Set,
    SetTransaction,
    Show,
    Statement,
    StatementSyntaxError,
    StatementText,
    TableChange,
    TransactionOptions,
    Unlisten,
    parse_statement,
    split,
)

CASES: list[tuple[str, Statement]] = [
    ("  select 1", Select("  select 1")),
    ("/* a */ -- b\n WITH x AS (TABLE y) SELECT 1",
     Select("/* a */ -- b\n WITH x AS (TABLE y) SELECT 1")),
    ("((select 1))", Select("((select 1))")),
    ("Values (1)", Select("Values (1)")),
    ("BEGIN", Begin()),
    (
        "START TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY NOT DEFERRABLE",
        Begin(TransactionOptions("repeatable read", True, False), start=True),
    ),
    ("END AND CHAIN", Commit(chain=True)),
    ("ABORT", Rollback()),
    ("ROLLBACK TRANSACTION AND CHAIN", Rollback(chain=True)),
    ("ROLLBACK TO SAVEPOINT savepoint", RollbackTo("savepoint")),
    ("SAVEPOINT AbC", Savepoint("abc")),
    ('RELEASE "AbC"', Release("AbC")),
    ("SET DateStyle TO ISO, MDY", Set("datestyle", "iso, mdy", False, "SET DateStyle TO ISO, MDY")),
    ("SET LOCAL a.B = 'It''s'", Set("a.b", "It's", True, "SET LOCAL a.B = 'It''s'")),
    ("SET x = DEFAULT", Set("x", None, False, "SET x = DEFAULT")),
    (
        "SET search_path = \"$user\", Public, 'a b'",
        Set("search_path", '"$user", public, "a b"', False,
            "SET search_path = \"$user\", Public, 'a b'"),
    ),
    ("SET TIME ZONE -3.5", Set("timezone", "-3.5", False, "SET TIME ZONE -3.5")),
    ("SET TIME ZONE LOCAL", Set("timezone", None, False, "SET TIME ZONE LOCAL")),
    (
        "SET TIME ZONE INTERVAL '-8' HOUR",
        Set("timezone", "INTERVAL '-8 hour'", False, "SET TIME ZONE INTERVAL '-8' HOUR"),
    ),
    ("SET NAMES 'utf8'", Set("client_encoding", "utf8", False, "SET NAMES 'utf8'")),
    ("SET SCHEMA 'x y'", Set("search_path", '"x y"', False, "SET SCHEMA 'x y'")),
    ("SET ROLE none", Set("role", "none", False, "SET ROLE none")),
    (
        "SET SESSION AUTHORIZATION DEFAULT",
        Set("session_authorization", None, False, "SET SESSION AUTHORIZATION DEFAULT"),
    ),
    (
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
        SetTransaction(
            "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
            True,
            TransactionOptions(read_only=False),
        ),
    ),
    (
        "SET TRANSACTION SNAPSHOT 'x'",
        SetTransaction("SET TRANSACTION SNAPSHOT 'x'", False, snapshot="x"),
    ),
    ("RESET ALL", Reset(None)),
    ("RESET TimeZone", Reset("timezone")),
    ("SHOW TRANSACTION ISOLATION LEVEL", Show("transaction_isolation")),
    ("SHOW ALL", Show("all")),
    ("DISCARD TEMPORARY", Discard("TEMP")),
    (
        "declare \"SQL_CUR0x1\" cursor with hold for select 'é;', 1",
        Declare("SQL_CUR0x1", False, None, True, "select 'é;', 1", 42),
    ),
    (
        "DECLARE c BINARY NO SCROLL CURSOR FOR SELECT 1",
        Declare("c", True, False, False, "SELECT 1", 38),
    ),
    ("FETCH c", Fetch("c", "FORWARD", 1, False)),
    ("FETCH LAST FROM c", Fetch("c", "ABSOLUTE", -1, False)),
    ("MOVE BACKWARD ALL IN c", Fetch("c", "BACKWARD", None, True)),
    ("FETCH RELATIVE -2 c", Fetch("c", "RELATIVE", -2, False)),
    ("fetch 100 in \"SQL_CUR0x1\"", Fetch("SQL_CUR0x1", "FORWARD", 100, False)),
    ("FETCH prior", Fetch("prior", "FORWARD", 1, False)),
    ("CLOSE ALL", CloseCursor(None)),
    (
        "PREPARE p (numeric(10,2), text[]) AS SELECT $1",
        Prepare("p", ("numeric(10,2)", "text[]"), "SELECT $1", 37),
    ),
    ("EXECUTE p (1, f(2, 3), 'a,b')", Execute("p", ("1", "f(2, 3)", "'a,b'"))),
    ("DEALLOCATE PREPARE p", Deallocate("p")),
    ("DEALLOCATE ALL", Deallocate(None)),
    (
        "COPY (SELECT ')' FROM t) TO STDOUT CSV HEADER FORCE QUOTE a",
        CopyOut(
            "SELECT ')' FROM t",
            CopyOptions("csv", ",", "", True, force_quote=("a",)),
            6,
        ),
    ),
    (
        'COPY public."T" (a, "B") TO STDOUT (FORMAT binary)',
        CopyOut('SELECT a, "B" FROM public."T"', CopyOptions("binary"), 5 - 19, 'public."T"'),
    ),
    (
        "COPY t TO STDOUT (FORMAT csv, FORCE_QUOTE *, QUOTE '|', ENCODING 'utf8')",
        CopyOut(
            "SELECT * FROM t",
            CopyOptions(
                "csv", ",", "", quote="|", escape="|", force_quote=None, encoding="utf8"
            ),
            5 - 14,
            "t",
        ),
    ),
    ("COPY t FROM STDIN", CopyIn("COPY t FROM STDIN")),
    ("COPY t FROM STDIN WHERE a > 1", CopyIn("COPY t FROM STDIN WHERE a > 1")),
    ("COPY t TO PROGRAM 'sh'", CopyServer("COPY t TO PROGRAM 'sh'", True, False)),
    ("COPY t FROM '/etc/passwd'", CopyServer("COPY t FROM '/etc/passwd'", False, True)),
    (
        "EXPLAIN (ANALYZE, FORMAT JSON, COSTS off) SELECT 1",
        Explain(
            True, "json", "SELECT 1", 42, (("analyze", None), ("format", "json"), ("costs", "off"))
        ),
    ),
    ("EXPLAIN (SELECT 1)", Explain(False, "text", "(SELECT 1)", 8)),
    ("LISTEN A", Listen("a")),
    ("UNLISTEN *", Unlisten(None)),
    ("NOTIFY a, 'b'", Notify("a", "b")),
    ("LOCK TABLE t IN SHARE MODE", Lock("LOCK TABLE t IN SHARE MODE")),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), CASES, ids=[text for text, _ in CASES])
def test_statement(text: str, expected: Statement) -> None:
    statement = parse_statement(text)
    assert statement == expected
    offset = getattr(statement, "query_offset", None)
    if offset is not None and offset > 0:
        assert text.startswith(statement.query, offset)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("text", "verb"),
    [
        ("CREATE OR REPLACE VIEW v AS SELECT 1", "CREATE VIEW"),
        ("CREATE USER u", "CREATE ROLE"),
        ("ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO u", "ALTER DEFAULT PRIVILEGES"),
        ("ALTER SYSTEM SET a = 1", "ALTER SYSTEM"),
        ("DROP MATERIALIZED VIEW v", "DROP MATERIALIZED VIEW"),
        ("DROP FOREIGN DATA WRAPPER w", "DROP FOREIGN DATA WRAPPER"),
        ("CREATE TRUSTED LANGUAGE x", "CREATE LANGUAGE"),
        ("REFRESH MATERIALIZED VIEW v", "REFRESH MATERIALIZED VIEW"),
        ("DO $$ begin end $$", "DO"),
        ("PREPARE TRANSACTION 'x'", "PREPARE TRANSACTION"),
        ("SET CONSTRAINTS ALL IMMEDIATE", "SET CONSTRAINTS"),
    ],
)
def test_command_tag(text: str, verb: str) -> None:
    assert parse_statement(text) == Other(verb, text)


def test_temporary_relations_are_marked() -> None:
    text = 'CREATE LOCAL TEMPORARY TABLE "#T" ("COL" INTEGER) ON COMMIT PRESERVE ROWS'
    assert parse_statement(text) == TableChange("CREATE TABLE", text, True, ((None, "#T"),))
    text = "CREATE TEMP VIEW v AS SELECT 1"
    assert parse_statement(text) == Other("CREATE VIEW", text, temporary=True)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("", ()),
        (" ; ;; -- x\n /* y */ ", ()),
        ("select 1", (StatementText("select 1", 0),)),
        (" select 1 ; ", (StatementText("select 1", 1),)),
        ("/* a; */ select 1;", (StatementText("select 1", 9),)),
        ("select ';'; select 2", (StatementText("select ';'", 0), StatementText("select 2", 12))),
        (
            "select $a$;$$;$a$;select a$1;select E'\\';'",
            (
                StatementText("select $a$;$$;$a$", 0),
                StatementText("select a$1", 18),
                StatementText("select E'\\';'", 29),
            ),
        ),
        ("select (1; 2); x", (StatementText("select (1; 2)", 0), StatementText("x", 15))),
        ("select 1) ; x", (StatementText("select 1)", 0), StatementText("x", 12))),
    ],
)
def test_split(sql: str, expected: tuple[StatementText, ...]) -> None:
    assert split(sql) == expected


@pytest.mark.parametrize(
    ("sql", "message", "position"),
    [
        ("; 'a", 'unterminated quoted string at or near "\'a"', 3),
        ('; "a', 'unterminated quoted identifier at or near ""a"', 3),
        ("; /* a", 'unterminated /* comment at or near "/* a"', 3),
        ("; select $$a", 'unterminated dollar-quoted string at or near "$$a"', 10),
    ],
)
def test_split_refuses_what_never_ends(sql: str, message: str, position: int) -> None:
    with pytest.raises(StatementSyntaxError) as caught:
        split(sql)
    assert (caught.value.message, caught.value.position) == (message, position)


def test_names_are_cut_at_63_bytes_of_whole_characters() -> None:
    assert parse_statement(f"SAVEPOINT {'é' * 40}") == Savepoint("é" * 31)


def test_a_query_is_told_without_being_read() -> None:
    text = "SELECT " + ", ".join(f"'{i}; it''s'" for i in range(20_000))
    parse_statement(text)
    started = time.thread_time()
    for _ in range(100):
        parse_statement(text)
    assert (time.thread_time() - started) / 100 < 10e-3


def test_hostile_texts_are_split_in_linear_time() -> None:
    for piece in ("'';", "/*", "$a$", "(;", "E'\\';", "--;\n", '"";'):
        started = time.thread_time()
        with contextlib.suppress(StatementSyntaxError):
            split(piece * 50_000)
        assert time.thread_time() - started < 2, piece
