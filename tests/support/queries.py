"""Text files of queries over cubes, and of what plain SQL over plain tables answers to the same.

A block is a header, the SQL, and what it is held against; blocks are apart by an empty line::

    # a comment
    query rowsort
    SELECT carrier, MEASURE(count) FROM flights GROUP BY carrier
    check
    SELECT carrier, count(*) FROM flights GROUP BY carrier

- Without ``check`` PostgreSQL runs the very same text over its plain tables: names and types of
  the columns have to agree then, too.
- ``error 42804`` in place of the check is the SQLSTATE of a refusal.
- Without ``rowsort`` the order of the rows counts. ``maybe`` allows a refusal with 0A000.
- ``script``: several statements, each ended by ``;`` at the end of a line, in a session of their
  own; whatever gives rows has to agree. ``check`` as above.
- ``xfail duckdb 0A000: reason`` under the header: there it is refused so, and must go on being;
  ``xfail 0A000: reason`` is both warehouses, ``xfail wrong: reason`` a wrong answer.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest

Connection = psycopg.Connection[tuple[object, ...]]
Row = tuple[object, ...]

WRONG = "wrong"
_XFAIL = re.compile(r"xfail(?: (duckdb|postgres))? (wrong|[0-9A-Z]{5}): (.+)")


@dataclass(frozen=True, slots=True)
class Query:
    """A block.

    Attributes:
        where: file and line.
        check: the same for PostgreSQL; may be the same text.
        error: SQLSTATE of the refusal.
        known: by warehouse, the SQLSTATE (or ``wrong``) it fails with, and why.
    """

    where: str
    sql: str
    check: str
    error: str = ""
    rowsort: bool = False
    maybe: bool = False
    script: bool = False
    known: dict[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def alike(self) -> bool:
        """Whether both run the same text."""
        return self.sql == self.check


@dataclass(frozen=True, slots=True)
class Result:
    """Names and type OIDs of the columns, and the rows."""

    columns: tuple[tuple[str, int], ...]
    rows: list[Row]


def read_queries(path: Path) -> list[Query]:
    """The blocks of a file."""
    found = []
    line = 1
    for block in path.read_text().split("\n\n"):
        start, line = line, line + block.count("\n") + 2
        lines = [text for text in block.strip("\n").split("\n") if not text.startswith("#")]
        if any(lines):
            found.append(_block(lines, f"{path.stem}:{start}"))
    return found


def _block(lines: list[str], where: str) -> Query:
    words = lines[0].split()
    assert words[0] in ("query", "script"), f"{where}: {lines[0]}"
    assert set(words[1:]) <= {"rowsort", "maybe"}, f"{where}: {lines[0]}"
    known: dict[str, tuple[str, str]] = {}
    while lines[1].startswith("xfail"):
        given = _XFAIL.fullmatch(lines.pop(1))
        assert given, f"{where}: xfail [duckdb|postgres] SQLSTATE|wrong: reason"
        for warehouse in (given[1],) if given[1] else ("duckdb", "postgres"):
            known[warehouse] = (given[2], given[3])
    sql, _, check = "\n".join(lines[1:]).partition("\ncheck\n")
    sql, _, error = sql.partition("\nerror ")
    assert not (check and error), f"{where}: either check or error"
    maybe = "maybe" in words
    return Query(
        where,
        sql,
        "" if error else check or sql,
        error.strip(),
        maybe or "rowsort" in words,
        maybe,
        words[0] == "script",
        known,
    )


def statements(script: str) -> list[str]:
    """The statements of a script."""
    return [text for text in re.split(r";\n", script.rstrip(";\n") + ";\n") if text.strip()]


def run(connection: Connection, query: Query, text: str, *, binary: bool = False) -> list[Result]:
    """What each statement that gives rows gives."""
    results = []
    for statement in statements(text) if query.script else [text]:
        cursor = connection.execute(statement.encode(), binary=binary)
        if cursor.description is not None:
            columns = tuple((one.name, one.type_code) for one in cursor.description)
            results.append(Result(columns, cursor.fetchall()))
    return results


@dataclass(slots=True)
class Trial:
    """Sessions over both warehouses, and PostgreSQL with plain tables.

    Attributes:
        reference: opens a session on the plain tables.
        ours: opens a session on our server, by warehouse.
    """

    reference: Callable[[], Connection]
    ours: dict[str, Callable[[], Connection]]
    _open: dict[str, Connection] = field(default_factory=dict)
    _answers: dict[str, list[Result]] = field(default_factory=dict)

    def close(self) -> None:
        for connection in self._open.values():
            connection.close()

    def test(self, warehouse: str, query: Query) -> None:
        """Run a query on one warehouse and compare; what is known to fail has to fail so."""
        if warehouse not in query.known:
            self._compare(warehouse, query)
            return
        state, reason = query.known[warehouse]
        with pytest.raises((psycopg.Error, AssertionError)) as problem:
            self._compare(warehouse, query)
        found = getattr(problem.value, "sqlstate", WRONG)
        assert found == state, f"{found} {problem.value}, not {state}"
        pytest.xfail(reason)

    def expected(self, query: Query) -> list[Result]:
        """What PostgreSQL answers, asked once."""
        if query.where not in self._answers:
            self._answers[query.where] = self._run("", self.reference, query, query.check)
        return self._answers[query.where]

    def _compare(self, warehouse: str, query: Query) -> None:
        if query.error:
            with pytest.raises(psycopg.Error) as problem:
                self._run(warehouse, self.ours[warehouse], query, query.sql)
            refusal = problem.value
            assert refusal.sqlstate == query.error or (query.maybe and _refused(refusal)), refusal
            return
        try:
            found = self._run(warehouse, self.ours[warehouse], query, query.sql)
        except psycopg.Error as error:
            if query.maybe and _refused(error):
                pytest.skip(f"refused: {error.diag.message_primary}")
            raise
        expected = self.expected(query)
        assert len(found) == len(expected)
        for mine, theirs in zip(found, expected, strict=True):
            agree(mine, theirs, query)

    def _run(
        self, name: str, connect: Callable[[], Connection], query: Query, text: str
    ) -> list[Result]:
        # The two formats in turn: each has its own way through the encoder.
        binary = bool(name) and not query.script and sum(query.where.encode()) % 2 == 0
        if query.script:
            with connect() as connection:
                return run(connection, query, text)
        if name not in self._open:
            self._open[name] = connect()
        return run(self._open[name], query, text, binary=binary)


def agree(mine: Result, theirs: Result, query: Query) -> None:
    """Fail where two results differ."""
    if query.alike:
        assert mine.columns == theirs.columns
    left, right = mine.rows, theirs.rows
    if query.rowsort:
        left, right = sorted(left, key=_order), sorted(right, key=_order)
    assert len(left) == len(right), f"{len(left)} rows, not {len(right)}"
    for number, (ours, plain) in enumerate(zip(left, right, strict=True)):
        same = len(ours) == len(plain) and all(map(_same_value, ours, plain))
        assert same, f"row {number}: {ours}\nexpected {plain}"


def _refused(error: psycopg.Error) -> bool:
    """Whether it says that it cannot do this: 0A000, with a hint or at a place in the statement."""
    told = error.diag.message_hint or error.diag.statement_position
    return error.sqlstate == "0A000" and told is not None


def _same_value(mine: object, theirs: object) -> bool:
    """Equal; floating point numbers to 12 digits, as sums depend on the order of the rows."""
    if isinstance(mine, float) or isinstance(theirs, float):
        if isinstance(mine, float | Decimal | int) and isinstance(theirs, float | Decimal | int):
            return math.isclose(mine, theirs, rel_tol=1e-12, abs_tol=1e-12)
        return mine == theirs
    whole = (int, Decimal)
    kinds = type(mine) is type(theirs) or (isinstance(mine, whole) and isinstance(theirs, whole))
    return kinds and mine == theirs


def _order(row: Sequence[object]) -> tuple[str, ...]:
    """A sort key under which numbers that count as the same stand in the same place."""
    return tuple(
        f"{float(value):.9g}"
        if isinstance(value, int | float | Decimal) and not isinstance(value, bool)
        else repr(value)
        for value in row
    )
