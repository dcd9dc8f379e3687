"""What user SQL cannot reach in DuckDB, were it to get past the compiler's allow-list."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import duckdb
import pytest

from connectors.duckdb_connector import DuckDBConnector, DuckDBOptions
from connectors.errors import WarehouseError

SECRET = "canary-7f3a"


@pytest.fixture(params=["file", "memory"])
async def connector(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[DuckDBConnector]:
    (tmp_path / "secret.csv").write_text(f"a\n{SECRET}\n")
    path = ":memory:"
    if request.param == "file":
        path = str(tmp_path / "warehouse.duckdb")
        duckdb.connect(path).close()
    opened = DuckDBConnector(DuckDBOptions(path=path))
    await opened.start()
    yield opened
    await opened.close()


REFUSED = [
    "SELECT * FROM read_csv('{dir}/secret.csv')",
    "SELECT * FROM read_csv_auto('{dir}/secret.csv')",
    "SELECT * FROM '{dir}/secret.csv'",
    "SELECT * FROM \"{dir}/secret.csv\"",
    "SELECT * FROM read_text('{dir}/secret.csv')",
    "SELECT * FROM read_blob('{dir}/secret.csv')",
    "SELECT * FROM read_json('{dir}/secret.csv')",
    "SELECT * FROM read_parquet('{dir}/secret.csv')",
    "SELECT * FROM sniff_csv('{dir}/secret.csv')",
    "SELECT * FROM glob('{dir}/*')",
    "SELECT * FROM parquet_metadata('{dir}/secret.csv')",
    "SELECT * FROM query('SELECT * FROM read_text(''{dir}/secret.csv'')')",
    "SELECT * FROM query_table('{dir}/secret.csv')",
    "SELECT * FROM read_csv('https://example.com/x.csv')",
    "SELECT * FROM read_parquet('s3://bucket/x.parquet')",
    "SELECT * FROM sqlite_scan('{dir}/x', 't')",
    "SELECT * FROM postgres_scan('', 'public', 't')",
    "SELECT getenv('HOME')",
    "COPY (SELECT 1) TO '{dir}/out.csv'",
    "COPY (SELECT 1) TO '/dev/stdout'",
    "EXPORT DATABASE '{dir}/out'",
    "IMPORT DATABASE '{dir}'",
    "ATTACH '{dir}/other.duckdb'",
    "ATTACH ':memory:' AS other",
    "DETACH memory",
    "INSTALL httpfs",
    "LOAD httpfs",
    "LOAD '{dir}/x.duckdb_extension'",
    "FORCE INSTALL spatial FROM community",
    "SET threads = 1",
    "SET GLOBAL threads = 1",
    "SET enable_external_access = true",
    "SET lock_configuration = false",
    "SET TimeZone = 'Asia/Tokyo'",
    "RESET threads",
    "PRAGMA threads = 1",
    "PRAGMA enable_profiling",
    "PRAGMA database_list",
    "CREATE SECRET s (TYPE s3)",
    "CREATE TEMP TABLE t AS SELECT 1",
    "CREATE MACRO m(a) AS a",
    "CALL pragma_version()",
    "CHECKPOINT",
    "BEGIN",
    "PREPARE p AS SELECT 1",
    "EXPLAIN ANALYZE SELECT 1",
    "SELECT 1; SELECT 2",
    "",
    "-- nothing",
]  # fmt: skip


@pytest.mark.parametrize("sql", REFUSED)
async def test_refused(connector: DuckDBConnector, tmp_path: Path, sql: str) -> None:
    before = sorted(tmp_path.iterdir())
    with pytest.raises(WarehouseError) as caught:
        await connector.execute(sql.format(dir=tmp_path))
    assert SECRET not in f"{caught.value.message} {caught.value.detail}"
    assert sorted(tmp_path.iterdir()) == before
    await connector.health()


@pytest.mark.parametrize(
    "sql",
    [
        "SET threads = 1",
        "SET enable_external_access = true",
        "SET lock_configuration = false",
        "SET allowed_configs = ['threads']",
        "SET temp_directory = '/tmp/elsewhere'",
        "SET allowed_directories = ['/']",
        "SET secret_directory = '/tmp/elsewhere'",
        "PRAGMA profile_output = '/tmp/profile'",
        "SELECT * FROM read_text('/etc/passwd')",
        "COPY (SELECT 1) TO '/tmp/cubewire-out.csv'",
        "ATTACH '/tmp/cubewire-other.duckdb'",
        "INSTALL httpfs",
        "LOAD httpfs",
    ],
)
async def test_locked_behind_the_statement_check_too(connector: DuckDBConnector, sql: str) -> None:
    database = connector._database
    assert database is not None
    with pytest.raises(duckdb.Error):
        database.cursor().execute(sql)


async def test_python_variables_are_not_tables(connector: DuckDBConnector) -> None:
    import pyarrow as pa

    hidden = pa.table({"a": [SECRET]})
    with pytest.raises(WarehouseError) as caught:
        await connector.execute("SELECT * FROM hidden")
    assert caught.value.sqlstate == "42P01"
    assert hidden.num_rows == 1


async def test_settings_are_as_promised(connector: DuckDBConnector) -> None:
    database = connector._database
    assert database is not None
    settings = dict(
        database.cursor().execute("SELECT name, value FROM duckdb_settings()").fetchall()
    )
    assert settings["enable_external_access"] == "false"
    assert settings["lock_configuration"] == "true"
    assert settings["autoinstall_known_extensions"] == "false"
    assert settings["autoload_known_extensions"] == "false"
    assert settings["allow_community_extensions"] == "false"
    assert settings["allow_persistent_secrets"] == "false"
    assert settings["python_enable_replacements"] == "false"
    spill = Path(settings["temp_directory"])
    assert spill.is_dir()
    assert spill.stat().st_mode & 0o777 == 0o700


async def test_spilled_files_are_private_and_removed(tmp_path: Path) -> None:
    options = DuckDBOptions(memory_limit="100MB", temp_directory=str(tmp_path), threads=2)
    connector = DuckDBConnector(options)
    await connector.start()
    (spill,) = tmp_path.iterdir()
    stream = await connector.execute("SELECT i FROM range(20000000) AS t(i) ORDER BY hash(i)")
    assert any(spill.iterdir())
    async for _ in stream:
        break
    await connector.close()
    assert list(tmp_path.iterdir()) == []


async def test_no_spilling_where_it_is_switched_off() -> None:
    connector = DuckDBConnector(DuckDBOptions(memory_limit="100MB", temp_directory="none"))
    await connector.start()
    with pytest.raises(WarehouseError) as caught:
        await connector.execute("SELECT i FROM range(20000000) AS t(i) ORDER BY hash(i)")
    assert caught.value.sqlstate == "53200"
    stream = await connector.execute("SELECT 42 AS a")
    assert [batch.to_pylist() async for batch in stream] == [[{"a": 42}]]
    await connector.close()


async def test_spilling_has_a_limit(tmp_path: Path) -> None:
    options = DuckDBOptions(
        memory_limit="100MB", temp_directory=str(tmp_path), max_temp_size="10MB"
    )
    connector = DuckDBConnector(options)
    await connector.start()
    with pytest.raises(WarehouseError) as caught:
        await connector.execute("SELECT i FROM range(20000000) AS t(i) ORDER BY hash(i)")
    assert caught.value.sqlstate in {"53100", "53200"}
    await connector.close()


async def test_allowed_directories(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "rows.csv").write_text("a\n1\n2\n")
    (tmp_path / "secret.csv").write_text(f"a\n{SECRET}\n")
    inside = f"CREATE VIEW rows AS SELECT * FROM read_csv('{tmp_path}/in/rows.csv')"
    options = DuckDBOptions(setup=(inside,), allowed_directories=(str(tmp_path / "in"),))
    connector = DuckDBConnector(options)
    await connector.start()
    stream = await connector.execute("SELECT sum(a)::int8 AS n FROM rows")
    assert [batch.to_pylist() async for batch in stream] == [[{"n": 3}]]
    for path in ("secret.csv", "in/../secret.csv"):
        with pytest.raises(WarehouseError) as caught:
            await connector.execute(f"SELECT * FROM read_csv('{tmp_path}/{path}')")
        assert caught.value.sqlstate == "42501"
    await connector.close()


@pytest.mark.parametrize("content", [None, b"not a database"])
async def test_file_that_cannot_be_opened(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "x.duckdb"
    if content is not None:
        path.write_bytes(content)
    connector = DuckDBConnector(DuckDBOptions(path=str(path)))
    with pytest.raises(WarehouseError) as caught:
        await connector.start()
    assert caught.value.sqlstate == "08001"
    assert not caught.value.reached
    await connector.close()


async def test_fault_in_setup_is_told() -> None:
    connector = DuckDBConnector(DuckDBOptions(setup=("CREATE TABLE",)))
    with pytest.raises(WarehouseError) as caught:
        await connector.start()
    assert caught.value.sqlstate == "08001"
    await connector.close()


async def test_not_started() -> None:
    connector = DuckDBConnector(DuckDBOptions())
    with pytest.raises(WarehouseError) as caught:
        await connector.execute("SELECT 1")
    assert caught.value.sqlstate == "08003"
    with pytest.raises(WarehouseError) as caught:
        await connector.stream_rows("SELECT 1", (), (0,))
    assert caught.value.sqlstate == "0A000"
    await connector.close()
