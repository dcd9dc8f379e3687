"""Our servers over both warehouses, and the PostgreSQL that knows the answers."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from zlib import crc32

import psycopg
from psycopg import pq

from tests.oracle import join_tables
from tests.oracle.statements import Case
from tests.oracle.tables import PLAIN_TABLES, load_text
from tests.oracle.warehouses import WAREHOUSES, Rows, suited
from tests.support.oracle import OraclePostgres
from tests.support.tables import fresh_database, serve

DATABASE = "oracle_rows"
REFUSALS = frozenset({"0A000", "42804", "42501"})
NUMERIC, FLOAT8, FLOAT4 = 1700, 701, 700
TIMES = {"duckdb": 3}
"""How often a warehouse is asked: what is small is run in another way the second time, and in yet
another one the third time."""
AGAIN_EVERY = 4
"""Of so many statements one is asked that often."""
_FIELD = pq.DiagnosticField


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said: columns (name, type OID, modifier) and rows as text, or an error."""

    columns: tuple[tuple[str, int, int], ...] = ()
    rows: tuple[tuple[str | None, ...], ...] = ()
    sqlstate: str = ""
    message: str = ""
    helpful: bool = False
    """The error has a position or a hint."""


class Client:
    """One connection that speaks the extended protocol, text format."""

    def __init__(self, dsn: str) -> None:
        self.connection = psycopg.connect(dsn, autocommit=True)
        self._zone = ""

    def use_zone(self, zone: str) -> None:
        if zone != self._zone:
            self.connection.execute(f"SET TimeZone = '{zone}'".encode())
            self._zone = zone

    def close(self) -> None:
        self.connection.close()

    def ask(
        self, sql: str, values: tuple[str | None, ...] = (), oids: tuple[int, ...] = ()
    ) -> Answer:
        given = [None if value is None else value.encode() for value in values]
        result = self.connection.pgconn.exec_params(sql.encode(), given, list(oids))
        if result.status != pq.ExecStatus.TUPLES_OK:
            return _error(result)
        width = range(result.nfields)
        rows = tuple(
            tuple(_text(result.get_value(row, column)) for column in width)
            for row in range(result.ntuples)
        )
        return Answer(
            tuple(
                ((result.fname(i) or b"").decode(), result.ftype(i), result.fmod(i)) for i in width
            ),
            rows,
        )


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode()


def _error(result: pq.abc.PGresult) -> Answer:
    def shown(field: _FIELD) -> str:
        return (result.error_field(field) or b"").decode()

    helpful = bool(shown(_FIELD.STATEMENT_POSITION) or shown(_FIELD.MESSAGE_HINT))
    message = shown(_FIELD.MESSAGE_PRIMARY)
    return Answer(sqlstate=shown(_FIELD.SQLSTATE), message=message, helpful=helpful)


@dataclass(slots=True)
class Laboratory:
    """Three clients: PostgreSQL with plain tables, and our server over two warehouses."""

    postgres: Client
    ours: dict[str, Client]
    refusals: Counter[str] = field(default_factory=Counter)
    """How often each message refused a statement."""

    def problem(self, case: Case, counts: dict[str, int] | None = None) -> str:
        """What is wrong about our answers; nothing if they are as they should be."""
        for client in (self.postgres, *self.ours.values()):
            client.use_zone(case.zone)
        expected = self.postgres.ask(case.plain, case.values, case.oids)
        problems = []
        times = {} if crc32(case.ours.encode()) % AGAIN_EVERY else TIMES
        for name, client in self.ours.items():
            actual = client.ask(case.ours, case.values, case.oids)
            verdict, problem = judge(case, actual, expected)
            if verdict == "refused":
                self.refusals[f"{name} {actual.sqlstate} {actual.message}"] += 1
            if counts is not None:
                counts[verdict] = counts.get(verdict, 0) + 1
            for time in range(2, times.get(name, 1) + 1):
                if problem or verdict == "refused":
                    break
                again = client.ask(case.ours, case.values, case.oids)
                problem = judge(case, again, expected)[1]
                problem = problem and f"the {time}th time: {problem}"
            if problem:
                problems.append(f"{name}: {problem}")
        return "\n".join(problems)


def judge(case: Case, actual: Answer, expected: Answer) -> tuple[str, str]:
    """Answered, refused, failed, early, spelled or wrong; and the problem, if any."""
    if actual.sqlstate in REFUSALS:
        if actual.helpful:
            return "refused", ""
        return "wrong", f"refused without position or hint: {actual.sqlstate} {actual.message}"
    if expected.sqlstate:
        # What a row's values make impossible may show or not, as each engine orders its work.
        if expected.sqlstate.startswith("22"):
            fine = not actual.sqlstate or actual.sqlstate.startswith("22")
        else:
            fine = actual.sqlstate == expected.sqlstate
        told = f"{actual.sqlstate or 'no error'} {actual.message}"
        wanted = f"{expected.sqlstate} {expected.message}"
        return ("failed", "") if fine else ("wrong", f"{told}, not {wanted}")
    if actual.sqlstate.startswith("22"):
        # Likewise; PostgreSQL has passed the row by. So few that they are counted only.
        return "early", ""
    if actual.sqlstate:
        return "wrong", f"{actual.sqlstate} {actual.message}"
    # PostgreSQL works out the modifiers twice, before and after it simplifies an expression.
    if [one[:2] for one in actual.columns] != [one[:2] for one in expected.columns]:
        return "wrong", f"columns {actual.columns}, not {expected.columns}"
    oids = [oid for _, oid, _ in expected.columns]
    left, right = list(actual.rows), list(expected.rows)
    if not case.ordered:
        left, right = _sorted(left, oids), _sorted(right, oids)
    if len(left) != len(right):
        return "wrong", f"{len(left)} rows, not {len(right)}: {left[:5]}, not {right[:5]}"
    loose = case.loose
    if loose is None:
        loose = _ONE_OF_EQUALS.search(case.plain) is not None
    for mine, theirs in zip(left, right, strict=True):
        pairs = zip(mine, theirs, oids, strict=True)
        if not all(_equal(a, b, oid, loose=loose) for a, b, oid in pairs):
            pairs = zip(mine, theirs, oids, strict=True)
            if "GROUP BY" in case.plain and all(_equal(*each, loose=True) for each in pairs):
                # Perhaps a key: 1.0 and 1.00 are one group, which is called either.
                return "spelled", ""
            return "wrong", f"{mine}, not {theirs}"
    return "answered", ""


def _sorted(rows: list[tuple[str | None, ...]], oids: list[int]) -> list[tuple[str | None, ...]]:
    """An order in which a double's last digits hardly matter."""

    def key(row: tuple[str | None, ...]) -> list[str]:
        shown, exact = [], []
        for value, oid in zip(row, oids, strict=True):
            if value is not None and oid in (FLOAT8, FLOAT4):
                shown.append(f"{float(value) + 0.0:.12g}")
            elif value is not None and oid == NUMERIC:
                shown.append(str(Decimal(value).normalize()))
                exact.append(value)
            else:
                shown.append("\0" if value is None else value)
        return shown + exact

    return sorted(rows, key=key)


# Of equal numbers in a group any may be shown, and they may differ in their last zeros.
_ONE_OF_EQUALS = re.compile(r"DISTINCT|UNION|INTERSECT|EXCEPT|MAX|MIN|GREATEST|LEAST")


def _equal(mine: str | None, theirs: str | None, oid: int, *, loose: bool) -> bool:
    if mine == theirs or mine is None or theirs is None:
        return mine == theirs
    if oid == NUMERIC and loose:
        return Decimal(mine) == Decimal(theirs)
    if oid in (FLOAT8, FLOAT4):
        return math.isclose(float(mine), float(theirs), rel_tol=1e-12)
    return False


@contextmanager
def laboratory(
    oracle: OraclePostgres,
    folder: Path,
    warehouses: Sequence[str] = ("duckdb", "postgres"),
    database: str = DATABASE,
) -> Iterator[Laboratory]:
    """Load the rows and start the servers.

    Args:
        oracle: where the rows are as plain tables.
        folder: for what the servers keep.
        warehouses: names in ``WAREHOUSES``.
        database: name of a fresh one.
    """
    rows, plain = suited(
        load_text() + join_tables.TABLES, PLAIN_TABLES + join_tables.PLAIN_TABLES, tuple(warehouses)
    )
    dsn = fresh_database(oracle, database)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute((rows + plain).encode())
    with ExitStack() as ended:
        given = Rows(rows, dsn, database, folder, ended)
        clients: dict[str, Client] = {}
        for name in warehouses:
            served = WAREHOUSES[name](given)
            server, address = serve(
                folder / name, served.models, served.sources, database, module=served.module
            )
            ended.callback(server.stop)
            clients[name] = Client(address)
            clients[name].connection.execute("SET cubewire.cache = 'off'")
            ended.callback(clients[name].close)
        # What has no measure in it can be asked of both in the same words.
        postgres = Client(f"{dsn}?options=-csearch_path%3Dplain,public")
        ended.callback(postgres.close)
        yield Laboratory(postgres, clients)
