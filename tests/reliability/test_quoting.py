"""Test 28: whatever is in a name or a value, it is never read as SQL on the way.

The same value goes through the simple protocol as a literal, through the extended one as a
parameter in text and binary, through PREPARE and a cursor; where it is a value at all, every road
gives the same answer, and else a clean error. The warehouses are DuckDB and PostgreSQL.
"""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.wire import backend, frontend
from tests.reliability.support import address, serving
from tests.support.oracle import OraclePostgres
from tests.support.raw_client import RawClient
from tests.support.server import RunningServer

WORDS = {
    1: "plain",
    2: "it's",
    3: 'say "hi"',
    4: "back\\slash",
    5: "\\'",
    6: "$$",
    7: "$tag$ x $tag$",
    8: "-- comment",
    9: "/* comment */",
    10: "a;b",
    11: "line\nbreak\ttab",
    12: "x" * 70,
    13: "é" * 40,
    14: "漢字 🛫",
    15: "%_\\%",
    16: "$1",
    17: "{brace}",
    18: "{CUBE}",
    19: "100% {words.word}",
    20: "",
    21: "''",
    22: "' OR '1'='1",
    23: "E'\\''",
    24: "null",
    25: ":name",
    26: "?",
    27: "a\\",
    28: "U&'\\0041'",
}
HOSTILE = [*WORDS.values(), "' UNION SELECT 1 --", "\\x41", "\r\n", "\x01\x7f", "'; SELECT 1; --"]
TEXTS = st.one_of(
    st.sampled_from(HOSTILE),
    st.text(st.sampled_from("'\"\\$-/*;%_{}:?abE1U& \n"), max_size=12),
    st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=30),
)
SETTINGS = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, oracle: OraclePostgres
) -> Iterator[RunningServer]:
    with psycopg.connect(oracle.dsn, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS distant_words")
        connection.execute("CREATE TABLE distant_words (id bigint, word text)")
        with connection.cursor() as cursor:
            cursor.executemany("INSERT INTO distant_words VALUES (%s, %s)", WORDS.items())
    folder = tmp_path_factory.mktemp("quoting")
    with serving(folder, oracle=oracle, words=WORDS) as running:
        yield running


@pytest.fixture(scope="module")
def client(server: RunningServer) -> Iterator[RawClient]:
    with address(server).session() as opened:
        yield opened


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def escaped(text: str) -> str:
    return "E'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def dollars(text: str) -> str:
    tag = "q"
    while f"${tag}" in text + f"${tag}"[:-1] or text.endswith("$"):
        tag += "q"
        if len(tag) > 60:
            return quoted(text)
    return f"${tag}${text}${tag}$"


def name(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


Outcome = tuple[tuple[bytes | None, ...], ...] | str


def outcome(answers: list[backend.BackendMessage]) -> Outcome:
    """Rows, or the SQLSTATE."""
    errors = [each.fields["C"] for each in answers if isinstance(each, backend.ErrorResponse)]
    if errors:
        assert not errors[0].startswith("XX"), answers
        return errors[0]
    return tuple(each.values for each in answers if isinstance(each, backend.DataRow))


def bound(client: RawClient, sql: str, *values: bytes | None, format: int = 0) -> Outcome:
    return outcome(
        client.exchange(
            frontend.Parse("", sql),
            frontend.Bind("", "", (format,), values),
            frontend.Execute("", 0),
            frontend.Sync(),
        )
    )


def simple(client: RawClient, sql: str) -> Outcome:
    return outcome(client.query(sql))


def expected(text: str) -> Outcome:
    return tuple((str(key).encode(),) for key, word in sorted(WORDS.items()) if word == text)


@pytest.mark.parametrize("relation", ["words", "distant_words"])
@SETTINGS
@given(text=TEXTS)
def test_values(client: RawClient, relation: str, text: str) -> None:
    sql = f"SELECT id FROM {relation} WHERE word = {{}} ORDER BY id"
    raw = text.encode()
    roads = {
        "parameter": bound(client, sql.format("$1"), raw),
        "binary parameter": bound(client, sql.format("$1"), raw, format=1),
        "literal": simple(client, sql.format(quoted(text))),
        "escape literal": simple(client, sql.format(escaped(text))),
        "dollar literal": simple(client, sql.format(dollars(text))),
        "parsed literal": bound(client, sql.format(quoted(text))),
        "prepared": _prepared(client, sql.format("$1"), quoted(text)),
        "cursor": _cursor(client, sql.format(quoted(text))),
        "in": simple(client, sql.replace("= {}", "IN ({}, NULL)").format(quoted(text))),
        "array": bound(client, sql.replace("= {}", "= ANY ($1)").format(), _array(text)),
    }
    wanted = expected(text)
    assert {road: seen for road, seen in roads.items() if seen != wanted} == {}


def _prepared(client: RawClient, sql: str, literal: str) -> Outcome:
    client.query("DEALLOCATE ALL")
    refused = simple(client, f"PREPARE p (text) AS {sql}")
    return refused if isinstance(refused, str) else simple(client, f"EXECUTE p ({literal})")


def _cursor(client: RawClient, sql: str) -> Outcome:
    client.query("BEGIN")
    refused = simple(client, f"DECLARE c CURSOR FOR {sql}")
    seen = refused if isinstance(refused, str) else simple(client, "FETCH ALL FROM c")
    client.query("ROLLBACK")
    return seen


def _array(text: str) -> bytes:
    inner = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'{{"{inner}"}}'.encode()


@pytest.mark.parametrize("relation", ["words", "distant_words"])
@SETTINGS
@given(text=TEXTS)
def test_values_come_back(client: RawClient, relation: str, text: str) -> None:
    """As a column of their own, beside a row of the cube."""
    raw = text.encode()
    where = f"FROM {relation} WHERE id = 1"
    assert bound(client, f"SELECT $1::text {where}", raw) == ((raw,),)
    assert simple(client, f"SELECT {quoted(text)} {where}") == ((raw,),)
    assert simple(client, f"SELECT {escaped(text)} {where}") == ((raw,),)
    assert bound(client, f"SELECT word || $1 {where}", raw) == ((b"plain" + raw,),)
    long = len(text)
    assert bound(client, f"SELECT length($1::text) {where}", raw) == ((str(long).encode(),),)


@pytest.mark.parametrize("relation", ["words", "distant_words"])
@SETTINGS
@given(text=TEXTS.filter(bool))
def test_names(client: RawClient, relation: str, text: str) -> None:
    """As a column's name and a table's; longer ones are cut as PostgreSQL cuts them."""
    cut = text.encode()[:63].decode(errors="ignore")
    for sql in (
        f"SELECT id AS {name(text)} FROM {relation} WHERE id = 2",
        f"SELECT {name(text)}.id AS {name(text)} FROM {relation} AS {name(text)} WHERE id = 2",
        f"WITH {name(text)} AS (SELECT id FROM {relation} WHERE id = 2)"
        f" SELECT id AS {name(text)} FROM {name(text)}",
        f"SELECT {name(text)} FROM (SELECT id AS {name(text)} FROM {relation}) AS t"
        f" WHERE {name(text)} = 2",
    ):
        answers = client.query(sql)
        assert outcome(answers) == ((b"2",),), sql
        described = next(each for each in answers if isinstance(each, backend.RowDescription))
        assert described.fields[0].name == cut


@pytest.mark.parametrize("relation", ["words", "distant_words"])
@SETTINGS
@given(number=st.integers(-5, 5) | st.sampled_from([-(2**63), 2**63 - 1, -1]))
def test_negative_numbers_are_no_comments(client: RawClient, relation: str, number: int) -> None:
    """CVE-2024-27289: a value of -1 behind a minus sign must not begin a comment."""
    raw = str(number).encode()
    sql = f"SELECT 7 -$1::bigint, 1 FROM {relation} WHERE id = 1"
    wanted: Outcome = ((str(7 - number).encode(), b"1"),)
    if not -(2**63) <= 7 - number < 2**63:
        wanted = "22003"
    assert bound(client, sql, raw) == wanted
    assert bound(client, sql.replace("7 -$1", "7-$1"), raw) == wanted
    assert bound(client, sql, number.to_bytes(8, "big", signed=True), format=1) == wanted
    negated = f"SELECT -$1::bigint, 1 FROM {relation} WHERE id = 1"
    wanted = "22003" if number == -(2**63) else ((str(-number).encode(), b"1"),)
    assert bound(client, negated, raw) == wanted


@pytest.mark.parametrize("relation", ["words", "distant_words"])
@pytest.mark.parametrize(
    "data",
    [
        b"\0",
        b"a\0b",
        b"\xff",
        b"\xc3",
        b"\xc3\x28",
        b"\xed\xa0\x80",
        b"\xf5\x80\x80\x80",
        b"\xc0\xa7",
    ],
)
def test_what_is_no_text(client: RawClient, relation: str, data: bytes) -> None:
    """NUL and invalid UTF-8, everywhere: 22021, and the session goes on (CVE-2025-1094)."""
    sql = f"SELECT id FROM {relation} WHERE word = $1"
    for format in (0, 1):
        assert bound(client, sql, data, format=format) == "22021"
    body = f"SELECT id FROM {relation} WHERE word = '".encode() + data + b"'\0"
    message = b"Q" + (len(body) + 4).to_bytes(4, "big") + body
    code = outcome(client.exchange(message))
    assert code in ("22021", "08P01")
    if b"\0" not in data:
        escapes = "".join(f"\\x{byte:02x}" for byte in data)
        assert simple(client, f"SELECT id FROM {relation} WHERE word = E'{escapes}'") == "22021"
    assert simple(client, f"SELECT id FROM {relation} WHERE id = 1") == ((b"1",),)


@pytest.mark.parametrize("relation", ["words", "distant_words"])
def test_names_that_cannot_be(client: RawClient, relation: str) -> None:
    assert simple(client, f'SELECT id AS "" FROM {relation}') == "42601"
    assert simple(client, f'SELECT id AS "a FROM {relation}') == "42601"
    assert simple(client, f'SELECT "id\'; SELECT 1; --" FROM {relation}') == "42703"
    assert simple(client, f'SELECT * FROM "{relation}; DROP TABLE {relation}"') == "42P01"
    assert simple(client, "SELECT letter FROM tiny WHERE id = 1") == ((b"b",),)


def test_settings_and_identities(server: RunningServer) -> None:
    """What the startup packet holds is a value too."""
    for text in HOSTILE:
        if not text or "\0" in text:
            continue
        with address(server).connect() as client:
            client.startup("demo", "cubewire", "demo", options=[("application_name", text)])
            answers = client.query("SELECT current_setting('application_name'), current_user")
            rows = outcome(answers)
            assert isinstance(rows, tuple)
            assert rows[0][1] == b"demo"
            client.query(f"SET application_name = {quoted(text)}")
            client.query(f"SET my.setting = {quoted(text)}")
            assert simple(client, "SHOW my.setting") == ((text.encode(),),)
            assert simple(client, "SELECT COUNT(*) FROM tiny") == ((b"10",),)
