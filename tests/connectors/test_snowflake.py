"""Snowflake's own driver against fakesnow's server: there is no Snowflake here.

fakesnow computes in DuckDB, so that this is about the driver, not about what Snowflake answers.
"""

from __future__ import annotations

import datetime
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal

import pyarrow as pa
import pytest

from connectors.base import Connector, Parameter
from connectors.errors import WarehouseError
from connectors.registry import open_connector
from connectors.tags import Tag, tagged

fakesnow = pytest.importorskip("fakesnow", reason="make test-warehouses installs it")
pytest.importorskip("uvicorn", reason="make test-warehouses installs it")
snowflake_connector = pytest.importorskip("snowflake.connector")

# The emulation's own, in its threads.
pytestmark = pytest.mark.filterwarnings("ignore")

TABLE = """CREATE OR REPLACE TABLE t (a int, b varchar, c decimal(10, 2), d timestamp_ntz(6),
    e date, f boolean, g double, h timestamp_tz, i variant)"""
ROW = """INSERT INTO t SELECT 1, 'it''s é', 1.5, '2024-02-29 12:30:15.25', '2024-02-29', true, 2.5,
    '2024-01-01 00:00:00+02:00', NULL"""


@pytest.fixture(scope="module")
def options() -> Iterator[dict[str, object]]:
    with fakesnow.server() as given:
        known = {name: given[name] for name in ("user", "password", "account", "host", "port")}
        place = {"database": "db1", "schema": "s1", "protocol": given["protocol"]}
        with snowflake_connector.connect(**known, **place) as connection:
            for statement in (TABLE, ROW):
                connection.cursor().execute(statement)
        yield {
            **known, "protocol": given["protocol"], "database": "db1", "schema_name": "s1",
        }  # fmt: skip


@pytest.fixture
async def connector(options: dict[str, object]) -> AsyncIterator[Connector]:
    made = open_connector("snowflake", options)
    await made.start()
    yield made
    await made.close()


async def rows(connector: Connector, sql: str, *parameters: Parameter) -> pa.Table:
    stream = await connector.execute(sql, parameters)
    return pa.Table.from_batches([batch async for batch in stream], stream.schema)


async def test_types(connector: Connector) -> None:
    found = await rows(
        connector,
        "/* int4, text, numeric, timestamp, date, bool, float8, timestamptz */"
        " SELECT a, b, c, d, e, f, g, h FROM t",
    )
    assert list(found.to_pylist()[0].values()) == [
        1, "it's é", Decimal("1.50"), datetime.datetime(2024, 2, 29, 12, 30, 15, 250000),
        datetime.date(2024, 2, 29), True, 2.5,
        datetime.datetime(2023, 12, 31, 22, tzinfo=datetime.UTC),
    ]  # fmt: skip
    assert found.schema.types == [
        pa.int32(), pa.string(), pa.decimal128(10, 2), pa.timestamp("us"), pa.date32(), pa.bool_(),
        pa.float64(), pa.timestamp("us", "UTC"),
    ]  # fmt: skip


async def test_parameters(connector: Connector) -> None:
    found = await rows(
        connector,
        "/* text, text, int8 */ SELECT '$1' AS a, $2 AS b, $1 AS c FROM t WHERE a = $1",
        Parameter("int8", 1),
        Parameter("text", "it's ? $1 \\"),
    )
    assert list(found.to_pylist()[0].values()) == ["$1", "it's ? $1 \\", 1]


async def test_tags(options: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen on the way to the driver: the emulation does not keep a statement's settings."""
    seen: list[object] = []
    execute = snowflake_connector.cursor.SnowflakeCursor.execute

    def listening(self: object, sql: str, *values: object, **given: object) -> object:
        seen.append(given.get("_statement_params"))
        return execute(self, sql, *values, **given)

    monkeypatch.setattr(snowflake_connector.cursor.SnowflakeCursor, "execute", listening)
    made = open_connector("snowflake", {**options, "query_tag": "cw", "tags": ["user", "cube"]})
    await made.start()
    try:
        with tagged(Tag('a"da', ("orders",), "")):
            await rows(made, "SELECT a FROM t")
    finally:
        await made.close()
    found = '{"application": "cw", "user": "a\\"da", "cube": "orders"}'
    assert {"QUERY_TAG": found} in seen


async def test_probe(connector: Connector) -> None:
    columns = await connector.probe("SELECT a, b, c, d, h FROM t")
    assert [(c.name, c.type_name, c.modifier) for c in columns] == [
        ("A", "numeric", (38 << 16) + 4),
        ("B", "text", -1),
        ("C", "numeric", (10 << 16 | 2) + 4),
        ("D", "timestamp", -1),
        ("H", "timestamptz", -1),
    ]
    with pytest.raises(WarehouseError, match='column "I" is of type VARIANT') as caught:
        await connector.probe("SELECT i FROM t")
    assert caught.value.sqlstate == "0A000"


@pytest.mark.parametrize(
    ("sqlstate", "sql"),
    [
        ("42P01", "SELECT * FROM nowhere"),
        ("42601", "SELEC"),
        ("22007", "SELECT 'a'::int"),
    ],
)
async def test_errors(connector: Connector, sqlstate: str, sql: str) -> None:
    with pytest.raises(WarehouseError) as caught:
        await rows(connector, sql)
    assert caught.value.sqlstate == sqlstate
    assert "\n" not in caught.value.message


async def test_many_rows(connector: Connector) -> None:
    found = await rows(connector, "SELECT seq4() AS a FROM TABLE(GENERATOR(ROWCOUNT => 20000))")
    assert found.num_rows == 20_000


async def test_nobody_there(options: dict[str, object]) -> None:
    made = open_connector("snowflake", {**options, "port": 1, "login_seconds": 1})
    with pytest.raises(WarehouseError) as caught:
        await made.start()
    assert caught.value.sqlstate == "08001"
    await made.close()
