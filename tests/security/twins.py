"""Two worlds that differ in nothing but what policies hide, each served from DuckDB and PostgreSQL.

Whoever can tell them apart has seen something hidden. Hidden rows of the second world are others in
number and kind, and hold what makes expressions fail: zeros, texts that are no numbers, extremes.
"""

from __future__ import annotations

import json
import os
import random
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import psycopg

from tests.support.mariadb import shared_mariadb
from tests.support.oracle import OraclePostgres
from tests.support.server import RunningServer, start_server

RANDOM_CUBES = 5
"""Cubes whose policies are made at random."""
RANDOM_SEED = int(os.environ.get("NONINTERFERENCE_SEED", "1"))
MARKER = "zq7x"
"""Stands in every hidden text."""

USERS: dict[str, dict[str, Any]] = {
    "tw_red": {"groups": ["clerks"], "attributes": {"teams": ["red"], "team": "red", "most": 50}},
    "tw_both": {
        "groups": ["clerks", "readers"],
        "attributes": {"teams": ["red", "blue"], "team": "blue", "most": 9},
    },
    "tw_none": {"groups": ["readers"]},
    "tw_act": {"groups": ["clerks"], "attributes": {"teams": ["red"]}, "act_as": ["tw_none"]},
}
SOURCES = ("duck", "post")
MARIADB = "maria"

PEOPLE = "id BIGINT, team VARCHAR(10), name VARCHAR(20), pay INTEGER, note VARCHAR(20), born DATE"
SALES = "id BIGINT, person_id BIGINT, amount DECIMAL(12, 2), code VARCHAR(20), sold TIMESTAMP"

VISIBLE = (
    (1, "red", "10", 5, "20", "1990-01-05"),
    (2, "red", "11", 7, "21", "1991-02-06"),
    (3, "blue", "12", 9, "22", "1992-03-07"),
    (4, "red", None, 7, None, None),
    (5, "blue", "14", None, "24", "1994-05-09"),
)
HIDDEN = (
    (
        (11, "black", f"{MARKER}1", 40, f"{MARKER}n", "1980-01-01"),
        (12, None, f"{MARKER}2", 41, f"{MARKER}m", "1981-01-01"),
    ),
    (
        (0, "black", f"{MARKER}[", 0, f"{MARKER}(", "0001-01-01"),
        (-7, "black", f"{MARKER}\\", 2147483647, "%", "9999-12-31"),
        (12, "", f"{MARKER}'", -2147483648, "", None),
        (13, None, f"{MARKER}2", 0, "2", "1992-03-07"),
        (14, "RED", f"{MARKER}4", None, f"{MARKER}m", "1990-01-05"),
    ),
)
SOLD = (
    (101, 1, "10.50", "a1", "2024-01-01 10:00"),
    (102, 1, "2.25", "a2", "2024-01-02 11:00"),
    (103, 2, "7.00", "a3", "2024-03-10 02:30"),
    (104, 3, "1.00", "a4", "2024-11-03 01:30"),
    (105, 5, None, "a5", None),
)
HIDDEN_SOLD = (
    ((111, 11, "99.00", f"{MARKER}s", "2023-01-01 00:00"),),
    (
        (100, 11, "0.00", f"{MARKER}s", "0001-01-01 00:00"),
        (112, 0, "9999999999.99", f"{MARKER}t", "9999-12-31 23:59"),
        (113, -7, "-9999999999.99", "", "2024-01-01 10:00"),
        (114, None, None, f"{MARKER}u", None),
    ),
)
# What nobody may see of rows that they may see: a masked and an absent member.
MASKED = ("a{0}", f"{MARKER}{{0}}'[")


def rows_of(world: int) -> tuple[Sequence[tuple[Any, ...]], Sequence[tuple[Any, ...]]]:
    """The rows of people and of sales, codes of the world."""
    sold = [(*row[:3], MASKED[world].format(row[0] % 10), row[4]) for row in SOLD]
    # The hidden ones come last in one world and first in the other; which of the visible rows is
    # the first to fail is no secret, so those keep their order.
    parts = ((VISIBLE, HIDDEN[world]), (sold, HIDDEN_SOLD[world]))
    people, sales = ([*b, *a] if world else [*a, *b] for a, b in parts)
    return people, sales


def model(prefix: str, sources: Sequence[str] = SOURCES) -> dict[str, object]:
    """The cubes and views of all sources; the tables carry the same names in each."""
    cubes = [cube for source in sources for cube in cubes_of(source, prefix)]
    return {"cubes": cubes, "views": [overview(source) for source in sources]}


def cubes_of(source: str, prefix: str) -> list[dict[str, object]]:
    people = {"sql_table": f"{prefix}people", "data_source": source, **PEOPLE_MEMBERS}
    sales = {"sql_table": f"{prefix}sales", "data_source": source, **SALES_MEMBERS}
    teams = one_of("team", "{ user.teams }")
    young = {"or": [teams, {"and": [one_of("team", "blue"), above("pay", "{ user.most }")]}]}
    through = one_of(f"people_{source}.team", "{ user.teams }")
    members = {
        "member_level": {"includes": "*", "excludes": ["hidden_code"]},
        "member_masking": {"includes": ["code"]},
    }
    few = {"member_level": {"includes": ["id", "team", "count"]}}
    join = {
        "name": f"people_{source}",
        "relationship": "many_to_one",
        "sql": f"{{CUBE.person_id}} = {{people_{source}.id}}",
    }
    blue = rows(one_of("team", "blue"))
    some = [{"group": "clerks", **rows(young)}, {"group": "readers", **few, **blue}]
    policies: dict[str, tuple[dict[str, object], list[dict[str, object]]]] = {
        "people": (people, [{"group": "*", **rows(teams)}]),
        "some": (people, some),
        "sales": ({**sales, "joins": [join]}, [{"group": "*", **members, **rows(through)}]),
        "vault": (people, [{"group": "directors"}]),
        **{f"random{n}": (people, random_policies(n)) for n in range(RANDOM_CUBES)},
    }
    return [
        {"name": f"{name}_{source}", **cube, "access_policy": listed}
        for name, (cube, listed) in policies.items()
    ]


def random_policies(number: int) -> list[dict[str, object]]:
    """Policies of whatever members and rows, none of which gives a row that is hidden."""
    r = random.Random(number + RANDOM_SEED)
    members = [str(item["name"]) for item in (*PEOPLE_DIMENSIONS, *PEOPLE_MEASURES)]
    policies = []
    for _ in range(r.randint(1, 3)):
        policy: dict[str, object] = {"group": r.choice(("*", "clerks", "readers"))}
        if r.random() < 0.5:
            policy["member_level"] = {
                "includes": "*",
                "excludes": r.sample(members, r.randint(1, 4)),
            }
        if r.random() < 0.5:
            policy["member_masking"] = {"includes": r.sample(members, r.randint(1, 4))}
        seen = one_of("team", "{ user.teams }")
        more = r.choice(
            (
                [],
                [above("pay", "{ user.most }")],
                [{"or": [one_of("note", "20"), above("id", "1"), one_of("team", "{ user.team }")]}],
                [{"member": "note", "operator": "contains", "values": ["2"]}],
                [{"member": "born", "operator": "afterDate", "values": ["1990-06-01"]}],
                [{"member": "name", "operator": "notEquals", "values": ["10"]}],
            )
        )
        policy["row_level"] = {"filters": [seen, *more]}
        policies.append(policy)
    return policies


def overview(source: str) -> dict[str, object]:
    sales = ["id", "code", "sold", "revenue", "count"]
    return {
        "name": f"overview_{source}",
        "cubes": [
            {"join_path": f"sales_{source}", "includes": sales},
            {"join_path": f"sales_{source}.people_{source}", "includes": ["team", "pay"]},
        ],
    }


def one_of(member: str, value: str) -> dict[str, object]:
    return {"member": member, "operator": "in", "values": [value]}


def above(member: str, value: str) -> dict[str, object]:
    return {"member": member, "operator": "gt", "values": [value]}


def rows(rule: dict[str, object]) -> dict[str, object]:
    return {"row_level": {"filters": [rule]}}


def dimension(name: str, kind: str, sql: str = "", **more: object) -> dict[str, object]:
    return {"name": name, "type": kind, "sql": sql or f"{{CUBE}}.{name}", **more}


PEOPLE_DIMENSIONS = (
    dimension("id", "number", primary_key=True),
    dimension("team", "string"),
    dimension("name", "string"),
    dimension("pay", "number"),
    dimension("note", "string"),
    dimension("born", "time"),
    dimension("share", "number", "100 / {CUBE}.pay"),
)
PEOPLE_MEASURES: tuple[dict[str, object], ...] = (
    {"name": "count", "type": "count"},
    {"name": "total", "type": "sum", "sql": "{CUBE}.pay"},
    {"name": "most", "type": "max", "sql": "{CUBE}.pay"},
    {"name": "names", "type": "count_distinct", "sql": "{CUBE}.name"},
    {"name": "mean", "type": "avg", "sql": "{CUBE}.pay"},
)
PEOPLE_MEMBERS: dict[str, object] = {
    "dimensions": list(PEOPLE_DIMENSIONS),
    "measures": list(PEOPLE_MEASURES),
}
SALES_MEMBERS: dict[str, object] = {
    "dimensions": [
        dimension("id", "number", primary_key=True),
        dimension("person_id", "number"),
        dimension("code", "string", mask="***"),
        dimension("first", "string", "substr({code}, 1, 1)"),
        dimension("hidden_code", "string", "{CUBE}.code"),
        dimension("sold", "time"),
    ],
    "measures": [
        {"name": "count", "type": "count"},
        {"name": "revenue", "type": "sum", "sql": "{CUBE}.amount"},
        {"name": "codes", "type": "count_distinct", "sql": "{code}"},
    ],
}


def insert(table: str, rows: Sequence[tuple[Any, ...]]) -> str:
    def written(value: object) -> str:
        if value is None:
            return "NULL"
        return str(value) if isinstance(value, int) else "'" + str(value).replace("'", "''") + "'"

    listed = ", ".join("(" + ", ".join(map(written, row)) + ")" for row in rows)
    return f"INSERT INTO {table} VALUES {listed}"


def tables(prefix: str, world: int) -> list[str]:
    people, sales = rows_of(world)
    return [
        f"DROP TABLE IF EXISTS {prefix}people",
        f"DROP TABLE IF EXISTS {prefix}sales",
        f"CREATE TABLE {prefix}people ({PEOPLE})",
        f"CREATE TABLE {prefix}sales ({SALES})",
        insert(f"{prefix}people", people),
        insert(f"{prefix}sales", sales),
    ]


@dataclass(frozen=True, slots=True)
class Seen:
    """All that a client learns from a statement: of each result its columns, rows and tag."""

    results: tuple[object, ...]
    error: tuple[tuple[str, str], ...]

    @property
    def sqlstate(self) -> str:
        return dict(self.error).get("sqlstate", "")


_ORDERED = re.compile(r"ORDER BY [^()]*(?:\([^()]*\)[^()]*)*\Z", re.IGNORECASE)
_FIELDS = (
    "severity", "sqlstate", "message_primary", "message_detail", "message_hint",
    "statement_position", "context", "schema_name", "table_name", "column_name",
)  # fmt: skip


def look(connection: psycopg.Connection[Any], sql: str, values: Sequence[object] = ()) -> Seen:
    """Run a text as a client does, and keep what comes back; rows without an order are sorted."""
    results: list[object] = []
    try:
        with connection.cursor() as cursor:
            cursor.execute(sql.encode(), values or None, prepare=bool(values) or None)
            more: bool | None = True
            while more:
                rows: list[Any] = cursor.fetchall() if cursor.description else []
                columns = [(c.name, c.type_code) for c in cursor.description or ()]
                shown = [repr(row) for row in rows]
                if not _ORDERED.search(sql):
                    shown.sort()
                results.append((columns, shown, cursor.statusmessage))
                more = cursor.nextset()
    except psycopg.Error as error:
        told = [(name, getattr(error.diag, name)) for name in _FIELDS]
        return Seen(tuple(results), tuple((name, text) for name, text in told if text))
    return Seen(tuple(results), ())


class Twins:
    """Both worlds, with a session in each for every user."""

    def __init__(self, servers: Sequence[RunningServer], oracle: OraclePostgres) -> None:
        self.servers = servers
        self.oracle = oracle
        self._sessions: dict[tuple[int, str], psycopg.Connection[Any]] = {}

    def session(self, world: int, user: str) -> psycopg.Connection[Any]:
        found = self._sessions.get((world, user))
        if found is None or found.closed:
            server = self.servers[world]
            dsn = f"postgresql://{user}:{user}@{server.host}:{server.port}/cubewire"
            found = psycopg.connect(dsn, autocommit=True, prepare_threshold=None)
            self._sessions[(world, user)] = found
        return found

    def seen(self, user: str, sql: str, values: Sequence[object] = ()) -> Seen:
        """What a user sees, which is the same in both worlds and nothing hidden.

        The text runs twice in each, for what is kept of the first time.
        """
        found = [self._look(world, user, sql, values) for world in (0, 1, 1, 0)]
        assert found[0] == found[1], f"{user} can tell the worlds apart: {sql}"
        assert found[2:] == found[:2], f"the second time is not like the first: {sql}"
        assert MARKER not in repr(found[0]).replace(repr(sql), ""), f"{user} sees: {sql}"
        return found[0]

    def _look(self, world: int, user: str, sql: str, values: Sequence[object]) -> Seen:
        session = self.session(world, user)
        seen = look(session, sql, values)
        if ";" in sql:
            # What a text of several statements left behind, where one of them failed.
            session.rollback()
            session.execute("DISCARD ALL")
        return seen

    def close(self) -> None:
        for session in self._sessions.values():
            session.close()


def mariadb_source(world: int) -> dict[str, object]:
    """A world's tables in a MariaDB, whose texts compare without case."""
    server, name = shared_mariadb(), f"twins{world}"
    server.run(
        [
            "SET sql_mode = 'NO_BACKSLASH_ESCAPES', character_set_server = utf8mb4",
            f"CREATE OR REPLACE DATABASE {name} COLLATE utf8mb4_general_ci",
            f"GRANT SELECT ON {name}.* TO reader",
            f"USE {name}",
            *(text.replace(" TIMESTAMP", " DATETIME(6)") for text in tables("tw_", world)),
        ],
        None,
    )
    return {"type": "mariadb", **server.options, "database": name}


@contextmanager
def twins(
    folder: Path,
    oracle: OraclePostgres,
    sources: Sequence[str] = SOURCES,
    worlds: Sequence[int] = (0, 1),
    **more: object,
) -> Iterator[Twins]:
    """Both servers, or some, until the end of the block."""
    with ExitStack() as stack:
        servers = []
        for world in worlds:
            home = folder / f"world{world}"
            (home / "models").mkdir(parents=True)
            (home / "models" / "twins.yml").write_text(json.dumps(model("tw_", sources)))
            with duckdb.connect(str(home / "tables.duckdb")) as connection:
                for text in tables("tw_", world):
                    connection.execute(text)
            schema = f"twins{world}"
            with psycopg.connect(oracle.dsn, autocommit=True) as postgres:
                postgres.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}".encode())
                postgres.execute(f"SET search_path = {schema}".encode())
                for text in tables("tw_", world):
                    postgres.execute(text.encode())
            configuration = {
                "models": "models",
                "state_directory": "state",
                "server": {"port": 0},
                "auth": {"users": {name: {"password": name, **u} for name, u in USERS.items()}},
                "data_sources": {
                    "duck": {"type": "duckdb", "path": "tables.duckdb"},
                    "post": {"type": "postgres", "dsn": oracle.dsn, "search_path": schema},
                    **({MARIADB: mariadb_source(world)} if MARIADB in sources else {}),
                },
                **more,
            }
            path = home / "cubewire.yml"
            path.write_text(json.dumps(configuration))
            server = start_server(["--config", str(path)])
            stack.callback(server.stop)
            servers.append(server)
        made = Twins(servers, oracle)
        stack.callback(made.close)
        yield made
