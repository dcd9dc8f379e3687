"""SQLAlchemy on its drivers: inspection, Core queries, streaming; and pandas on top of it."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from tests.e2e.targets import Pair, Target

DRIVERS = ["psycopg", "psycopg2", "pg8000"]


@dataclass(frozen=True, slots=True)
class Engines:
    """One driver's engines: on our server and on PostgreSQL."""

    ours: Engine
    postgres: Engine

    def same(self, run: Callable[[Connection], object]) -> object:
        """What ``run`` returns, the same from both."""
        found = []
        for engine in (self.ours, self.postgres):
            with engine.connect() as connection:
                found.append(run(connection))
        assert repr(found[0]) == repr(found[1])
        return found[0]


def make_engine(target: Target, driver: str) -> Engine:
    return sa.create_engine(target.dsn.replace("postgresql:", f"postgresql+{driver}:"))


@pytest.fixture(params=DRIVERS, scope="module")
def engines(pair: Pair, request: pytest.FixtureRequest) -> Iterator[Engines]:
    both = Engines(make_engine(pair.ours, request.param), make_engine(pair.postgres, request.param))
    yield both
    both.ours.dispose()
    both.postgres.dispose()


INSPECTIONS: dict[str, Callable[[sa.Inspector], object]] = {
    "schemas": lambda of: of.get_schema_names(),
    "default schema": lambda of: of.default_schema_name,
    "tables": lambda of: sorted(of.get_table_names()),
    "views": lambda of: sorted(of.get_view_names()),
    "materialized views": lambda of: of.get_materialized_view_names(),  # type: ignore[attr-defined]
    "temporary tables": lambda of: of.get_temp_table_names(),
    "flights": lambda of: of.get_columns("flights"),
    "flights of public": lambda of: of.get_columns("flights", schema="public"),
    "view's columns": lambda of: of.get_columns("flight_overview"),
    "all columns": lambda of: sorted(of.get_multi_columns().items()),
    "primary key": lambda of: of.get_pk_constraint("flights"),
    "primary keys": lambda of: sorted(of.get_multi_pk_constraint().items()),
    "foreign keys": lambda of: sorted(of.get_foreign_keys("flights"), key=repr),
    "all foreign keys": lambda of: len(of.get_multi_foreign_keys()),
    "indexes": lambda of: of.get_indexes("flights"),
    "unique constraints": lambda of: of.get_unique_constraints("flights"),
    "check constraints": lambda of: of.get_check_constraints("flights"),
    "comment": lambda of: of.get_table_comment("flights"),
    "view's comment": lambda of: of.get_table_comment("flight_overview"),
    "options": lambda of: of.get_table_options("flights"),
    "sequences": lambda of: of.get_sequence_names(),
    "enums": lambda of: of.get_enums(),  # type: ignore[attr-defined]
    "domains": lambda of: of.get_domains(),  # type: ignore[attr-defined]
    "has table": lambda of: (of.has_table("flights"), of.has_table("nothing")),
    "has schema": lambda of: (of.has_schema("public"), of.has_schema("nothing")),
}


@pytest.mark.parametrize("what", INSPECTIONS)
def test_inspector(engines: Engines, what: str) -> None:
    found = engines.same(lambda connection: INSPECTIONS[what](sa.inspect(connection)))
    if what == "tables":
        assert found == ["airlines", "airports", "flights", "planes", "weather"]
    if what == "flights":
        assert isinstance(found, list)
        columns = {column["name"]: column for column in found}
        assert isinstance(columns["flight_date"]["type"], sa.Date)
        assert columns["count"]["comment"] == "[measure·count] Flights: Scheduled flights."
        assert not columns["flight_id"]["nullable"]
    if what == "primary key":
        assert isinstance(found, dict)
        assert found["constrained_columns"] == ["flight_id"]


def test_reflection_and_queries(engines: Engines) -> None:
    metadata = sa.MetaData()
    metadata.reflect(engines.ours, views=True)
    flights, airlines = metadata.tables["flights"], metadata.tables["airlines"]
    assert {key.column.table.name for key in flights.foreign_keys} == {
        "airlines",
        "airports",
        "planes",
        "weather",
    }
    few = flights.c.flight_id <= 2000
    queries = [
        sa.select(sa.func.count()).select_from(flights).where(few),
        sa.select(airlines).order_by(airlines.c.carrier),
        sa.select(flights.c.origin, sa.func.count().label("n"), sa.func.avg(flights.c.distance))
        .where(few, flights.c.carrier.in_(["UA", "AA", "DL"]))
        .group_by(flights.c.origin)
        .having(sa.func.count() > 10)
        .order_by(sa.desc("n")),
        sa.select(
            sa.func.date_trunc(sa.literal_column("'day'"), flights.c.scheduled_departure).label(
                "day"
            ),
            sa.func.sum(sa.case((flights.c.is_cancelled, 1), else_=0)).label("cancelled"),
        )
        .where(few)
        .group_by("day")
        .order_by("day"),
        sa.select(flights.c.carrier)
        .distinct()
        .where(few, flights.c.flight_date >= datetime.date(2013, 1, 2))
        .order_by(flights.c.carrier)
        .limit(3)
        .offset(1),
        sa.select(flights.c.flight_id, flights.c.distance_km, flights.c.scheduled_hour)
        .where(few, sa.or_(flights.c.tail_number.is_(None), flights.c.route.like("JFK-S%")))
        .order_by(flights.c.flight_id),
        sa.select(flights.c.carrier, sa.func.sum(flights.c.total_distance))
        .where(few, flights.c.long_haul)
        .group_by(flights.c.carrier)
        .order_by(flights.c.carrier),
    ]
    for query in queries:
        rows = engines.same(lambda connection, query=query: connection.execute(query).fetchall())  # type: ignore[misc]
        assert rows


def test_date_trunc_of_a_parameter(engines: Engines) -> None:
    """What ``func.date_trunc("day", ...)`` becomes where the driver binds on the server."""
    flights = sa.table(
        "flights", *map(sa.column, ("flight_id", "scheduled_departure")), schema="public"
    )
    day = sa.func.date_trunc("day", flights.c.scheduled_departure).label("day")
    query = sa.select(day, sa.func.count()).where(flights.c.flight_id <= 2000).group_by("day")
    query = query.order_by("day")
    assert engines.same(lambda connection: connection.execute(query).fetchall())


def test_nested_queries(engines: Engines) -> None:
    """What SQLAlchemy writes for paging and for counting pages."""
    statements = [
        "SELECT anon_1.origin, anon_1.n FROM (SELECT origin, count(*) AS n FROM flights"
        " WHERE flight_id <= 2000 GROUP BY origin) AS anon_1 ORDER BY anon_1.n LIMIT 2",
        "SELECT count(*) AS rowcount FROM (SELECT carrier FROM flights WHERE flight_id <= 2000"
        " GROUP BY carrier) AS rowcount_qry",
        "WITH few AS (SELECT * FROM flights WHERE flight_id <= 99)"
        " SELECT carrier, max(distance) FROM few GROUP BY carrier ORDER BY 1",
    ]
    for statement in statements:
        engines.same(
            lambda connection, text=statement: connection.execute(sa.text(text)).fetchall()
        )  # type: ignore[misc]


def test_parameters(engines: Engines) -> None:
    def run(connection: Connection) -> object:
        statement = sa.text(
            "SELECT count(*) FROM flights WHERE flight_id <= :last AND carrier = :carrier"
            " AND flight_date = :day AND distance > :far"
        )
        values = {
            "last": 2000,
            "carrier": "UA",
            "day": datetime.date(2013, 1, 2),
            "far": 1000,
        }
        return connection.execute(statement, values).scalar_one()

    assert engines.same(run) != 0


def test_streaming(engines: Engines) -> None:
    """A server-side cursor, in portions."""

    def run(connection: Connection) -> object:
        streaming = connection.execution_options(stream_results=True, max_row_buffer=50)
        statement = "SELECT flight_id, carrier FROM flights WHERE flight_id <= 300 ORDER BY 1"
        result = streaming.execute(sa.text(statement))
        return [len(part) for part in result.partitions(70)]

    assert engines.same(run) == [70, 70, 70, 70, 20]


def test_errors(engines: Engines) -> None:
    with engines.ours.connect() as connection:
        with pytest.raises(sa.exc.DBAPIError):
            connection.execute(sa.text("SELECT nope FROM flights"))
        connection.rollback()
        with connection.begin(), connection.begin_nested():
            assert connection.execute(sa.text("SELECT count(*) FROM airlines")).scalar() == 16
        with pytest.raises(sa.exc.DBAPIError, match="read-only"):
            connection.execute(sa.text("INSERT INTO airlines VALUES ('XX', 'new')"))


def test_isolation_levels(engines: Engines) -> None:
    def run(connection: Connection) -> object:
        found = [connection.get_isolation_level(), connection.default_isolation_level]
        for level in ("REPEATABLE READ", "SERIALIZABLE", "AUTOCOMMIT"):
            connection.execution_options(isolation_level=level)
            found.append(connection.execute(sa.text("SHOW transaction_isolation")).scalar())
            connection.rollback()
        return found

    engines.same(run)


def test_pandas(engines: Engines) -> None:
    pd = pytest.importorskip("pandas")
    frames = []
    for engine in (engines.ours, engines.postgres):
        with engine.connect() as connection:
            whole = pd.read_sql(
                "SELECT flight_id, carrier, flight_date, distance_km, is_cancelled, departure_delay"
                " FROM flights WHERE flight_id <= 500 ORDER BY flight_id",
                connection,
                parse_dates=["flight_date"],
            )
            table = pd.read_sql_table("airlines", connection).sort_values("carrier")
            chunks = pd.read_sql("SELECT faa FROM airports ORDER BY faa", connection, chunksize=400)
            frames.append((whole, table, pd.concat(chunks)))
    for mine, theirs in zip(*frames, strict=True):
        pd.testing.assert_frame_equal(mine.reset_index(drop=True), theirs.reset_index(drop=True))
    assert len(frames[0][0]) == 500
