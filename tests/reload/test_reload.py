"""The model of a running server is replaced: what clients, operators and the trail see of it."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import errors

from tests.conftest import free_port
from tests.reload.world import TOKEN, TOTAL, World, model, start, until, value

NAMES = "SELECT string_agg(column_name, ',' ORDER BY ordinal_position) FROM \
information_schema.columns WHERE table_name = 'things'"
OIDS = "SELECT 'still'::regclass::oid"
ANSWER = b"SELECT tag, MEASURE(total) FROM things GROUP BY 1"

GUESTS: list[dict[str, Any]] = [
    {"group": "staff"},
    {"group": "guests", "member_level": {"includes": ["id", "tag", "total"]}},
]


@pytest.fixture
def client(world: World) -> psycopg.Connection[Any]:
    connection = world.connect()
    world.serve(model(1, "kind"), connection) if value(
        connection, "SELECT max(tag) FROM things"
    ) != "v1" else None
    return connection


def test_new_columns_appear_and_oids_stay(world: World, client: psycopg.Connection[Any]) -> None:
    oids = value(client, OIDS)
    assert client.execute(ANSWER).fetchall() == [("v1", TOTAL)]
    world.serve(model(2, "kind", "color"), client)
    assert client.execute(ANSWER).fetchall() == [("v2", 2 * TOTAL)]
    assert value(client, OIDS) == oids
    assert "color" in value(client, NAMES)
    world.serve(model(3, "kind"), client)
    with pytest.raises(errors.UndefinedColumn):
        client.execute("SELECT color FROM things")


def test_broken_model_keeps_the_old_one(world: World, client: psycopg.Connection[Any]) -> None:
    before = world.version()
    refused = world.metric('cubewire_model_reloads_total{result="refused"}')
    loaded = world.metric("cubewire_model_loaded_timestamp_seconds")
    world.write({"cubes": [{"name": "things", "sql_tabel": "things"}, {"name": "1x"}]})
    until(lambda: bool(world.readiness()["model"]["problems"]))
    state = world.readiness()
    assert state["ready"] is True
    assert state["model"]["version"] == before == world.version()
    assert any("sql_tabel" in problem for problem in state["model"]["problems"])
    assert world.metric('cubewire_model_reloads_total{result="refused"}') == refused + 1
    assert world.metric("cubewire_model_loaded_timestamp_seconds") == loaded
    until(lambda: sum("the model was refused" in line for line in world.running.log) >= 2)
    assert client.execute(ANSWER).fetchall() == [("v1", TOTAL)]
    trail = (world.folder / "audit.jsonl").read_text()
    assert any("model reload" in each and "failed" in each for each in trail.splitlines())
    world.write(model(1, "kind"))
    until(lambda: not world.readiness()["model"]["problems"])
    assert world.version() == before


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({"data_source": "nowhere"}, "nowhere"),
        ({"sql_table": "no_such_table"}, "no_such_table"),
    ],
)
def test_what_the_warehouses_lack(world: World, content: dict[str, Any], problem: str) -> None:
    before = world.version()
    world.write(model(7, "kind", **content))
    until(lambda: problem in str(world.readiness()["model"]["problems"]))
    assert world.version() == before
    world.write(model(1, "kind"))
    until(lambda: not world.readiness()["model"]["problems"])


def test_prepared_statement(world: World, client: psycopg.Connection[Any]) -> None:
    other = world.connect()
    for _ in range(2):
        assert client.execute(ANSWER, prepare=True).fetchall() == [("v1", TOTAL)]
    everything = b"SELECT * FROM things WHERE id = 1"
    client.execute(everything, prepare=True)
    client.execute("PREPARE mine AS SELECT MEASURE(total) FROM things WHERE id = $1")
    world.serve(model(4, "kind", "color"), other)
    assert client.execute(ANSWER, prepare=True).fetchall() == [("v4", 4 * TOTAL)]
    assert value(client, "EXECUTE mine(10)") == 40
    with pytest.raises(errors.FeatureNotSupported, match="must not change result type"):
        client.execute(everything, prepare=True)


def test_open_cursor_goes_on(world: World, client: psycopg.Connection[Any]) -> None:
    other = world.connect()
    with client.transaction():
        client.execute("DECLARE c CURSOR FOR SELECT tag FROM things")
        assert client.execute("FETCH 10 c").fetchall() == [("v1",)] * 10
        world.serve(model(5, "kind"), other)
        assert client.execute("FETCH ALL c").fetchall() == [("v1",)] * 90
        assert client.execute(ANSWER).fetchall() == [("v5", 5 * TOTAL)]


def test_temporary_tables_stay(world: World, client: psycopg.Connection[Any]) -> None:
    client.execute("CREATE TEMP TABLE few AS SELECT id FROM things WHERE id < 4")
    world.serve(model(6, "color"), client)
    joined = b"SELECT tag, MEASURE(total) FROM things JOIN few USING (id) GROUP BY 1"
    assert client.execute(joined).fetchall() == [("v6", 36)]
    assert value(client, "SELECT count(color) FROM things") == 100


def test_cached_answers_are_of_one_model(world: World, client: psycopg.Connection[Any]) -> None:
    for number in (1, 8, 1, 9):
        if number != 1 or value(client, "SELECT max(tag) FROM things") != "v1":
            world.serve(model(number, "kind"), client)
        for _ in range(3):
            assert client.execute(ANSWER).fetchall() == [(f"v{number}", number * TOTAL)]


def test_governed_callers(world: World, client: psycopg.Connection[Any]) -> None:
    guest = world.connect("guest")
    assert "kind" in value(guest, NAMES)
    world.serve(model(10, "kind", policy=GUESTS), client)
    assert value(guest, NAMES) == "id,tag,total"
    assert "kind" in value(client, NAMES)
    assert guest.execute(ANSWER).fetchall() == [("v10", 10 * TOTAL)]
    with pytest.raises(errors.UndefinedColumn):
        guest.execute("SELECT kind FROM things")
    guest.execute("CREATE TEMP TABLE few AS SELECT id FROM things WHERE id < 4")
    only_tags: list[dict[str, Any]] = [
        GUESTS[0],
        {"group": "guests", "member_level": {"includes": ["tag"]}},
    ]
    world.serve(model(11, "kind", policy=only_tags), client)
    with pytest.raises(errors.ObjectNotInPrerequisiteState, match="temporary tables"):
        guest.execute("SELECT count(*) FROM few")
    assert value(guest, NAMES) == "tag"
    assert value(guest, "SELECT max(tag) FROM things") == "v11"


def test_signal_and_webhook(world: World, client: psycopg.Connection[Any]) -> None:
    looked = 'cubewire_model_reloads_total{result="unchanged"}'
    before = world.metric(looked)
    os.kill(world.running.pid, signal.SIGHUP)
    until(lambda: world.metric(looked) == before + 1)
    assert world.admin("/reload")[0] == 405
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"X-Gitlab-Token": "wrong"}):
        assert world.admin("/reload", "POST", headers)[0] == 401
    assert world.metric(looked) == before + 1
    for count, headers in enumerate(
        ({"Authorization": f"Bearer {TOKEN}"}, {"X-Gitlab-Token": TOKEN}), start=2
    ):
        assert world.admin("/reload", "POST", headers)[0] == 202
        until(lambda wanted=before + count: world.metric(looked) == wanted)  # type: ignore[misc]
    assert value(client, "SELECT 1") == 1


def test_version_cannot_be_set(client: psycopg.Connection[Any]) -> None:
    with pytest.raises(errors.CantChangeRuntimeParam):
        client.execute("SET cubewire.model_version = 'x'")
    assert len(value(client, "SHOW cubewire.model_version")) >= 16


def test_each_worker_reloads_for_itself(tmp_path: Path) -> None:
    port = free_port()
    server = {"port": 0, "admin_port": port, "workers": 2}
    several = start(tmp_path, model(1), server=server, reload={"watch": False})
    try:
        several.admin_port = port
        first = several.version()
        several.write(model(2))
        os.kill(several.running.pid, signal.SIGHUP)
        for number in range(2):
            several.admin_port = port + number
            until(lambda: several.version() != first)
        answer = several.connect().execute(ANSWER).fetchall()
        assert answer == [("v2", 2 * TOTAL)]
    finally:
        several.close()
