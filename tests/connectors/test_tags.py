"""What a warehouse is told beside a statement; what each is told, its own tests show."""

from __future__ import annotations

import pytest
from sqlglot import exp

from connectors.postgres_connector import PostgresConnector
from connectors.registry import open_connector
from connectors.tags import Tag, commented, label_text, tag_parts, tagged
from tests.support.oracle import OraclePostgres

SQL = "SELECT x FROM t WHERE a = 'secret' AND b > 12.5 AND c IN (0xff, $1)"


def test_a_fingerprint_knows_no_literals() -> None:
    one, other = Tag("u", (), SQL), Tag("v", ("c",), SQL.replace("secret", "it''s"))
    assert one.fingerprint() == other.fingerprint()
    assert one.fingerprint() == Tag("u", (), SQL.replace("12.5", "7e3")).fingerprint()
    assert one.fingerprint() != Tag("u", (), SQL.replace("t WHERE", "u WHERE")).fingerprint()
    assert one.fingerprint() != Tag("u", (), SQL.replace("$1", "$2")).fingerprint()


@pytest.mark.parametrize("dialect", ["bigquery", "databricks", "snowflake", "postgres", "trino"])
def test_nor_those_with_quotes_and_backslashes(dialect: str) -> None:
    texts = ["x", "it's a secret", "C:\\", "\\'", ""]
    tags = (Tag("u", (), f"SELECT {exp.Literal.string(text).sql(dialect)}, 5") for text in texts)
    escapes = dialect not in {"postgres", "trino"}
    assert len({tag.fingerprint(backslashes=escapes) for tag in tags}) == 1


def test_parts_are_those_asked_for_and_short() -> None:
    with tagged(Tag("ada", ("orders", "lines"), SQL)):
        assert tag_parts(()) == {"application": "cubewire"}
        assert tag_parts(("user", "cube"), "cw") == {
            "application": "cw", "user": "ada", "cube": "orders,lines",
        }  # fmt: skip
        assert set(tag_parts(("statement",))) == {"application", "statement"}
    with tagged(Tag("u" * 500, (), SQL)):
        assert len(tag_parts(("user",))["user"]) == 120
    assert tag_parts(("user", "statement")) == {"application": "cubewire"}


def test_a_comment_cannot_be_left() -> None:
    with tagged(Tag("*/ DROP TABLE t; --'", ("a\nb",), SQL)):
        text = commented("SELECT 1", ("user", "cube"))
    assert text == (
        "SELECT 1 /*application='cubewire',cube='a%0Ab',"
        "user='%2A%2F%20DROP%20TABLE%20t%3B%20--%27'*/"
    )


def test_labels_keep_their_letters() -> None:
    assert label_text("ada@x.example: ü") == "ada_x_example___"
    assert len(label_text("a" * 100)) == 63


def test_unknown_parts() -> None:
    with pytest.raises(ValueError, match="tags may be user, cube, statement, not 'sql'"):
        open_connector("postgres", {"dsn": "postgresql://h/d", "comment": ["sql"]})


async def test_a_comment_for_postgresql(postgres_server: OraclePostgres) -> None:
    sql = "SELECT query FROM pg_stat_activity WHERE pid = pg_backend_pid()"
    for wanted, ending in ((["cube"], " /*application='cubewire',cube='orders'*/"), ([], "")):
        connector = open_connector("postgres", {"dsn": postgres_server.dsn, "comment": wanted})
        assert isinstance(connector, PostgresConnector)
        await connector.start()
        try:
            with tagged(Tag("ada", ("orders",), sql)):
                stream = await connector.execute(sql)
            (batch,) = [item async for item in stream]
            assert batch.column(0)[0].as_py() == sql + ending
        finally:
            await connector.close()
