"""Tenants with a data source each, and tenants with a model each."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest

from connectors.errors import WarehouseError
from proxy.cli import main
from proxy.errors import SessionError
from proxy.scopes import Scope, Scopes
from proxy.tenants import TenantScopes
from semantic.model.model import Model
from semantic.security.context import SecurityContext
from tests.security.shop import dsn
from tests.support.server import RunningServer, start_server

USERS: dict[str, dict[str, Any]] = {
    "ann": {"tenant": "acme"},
    "gil": {"tenant": "globex", "act_as": ["ann"]},
    "una": {"tenant": "umbrella"},
    "nil": {},
}
SALES = """
cubes:
  - name: sales
    sql_table: sales
    refresh_key: {every: 1 hour}
    dimensions:
      - {name: id, sql: id, type: number, primary_key: true, public: true}
    measures:
      - {name: total, sql: amount, type: sum}
"""
STOCK = SALES.replace("sales", "stock")


def serve(folder: Path, models: dict[str, str], tenancy: dict[str, object]) -> RunningServer:
    for name, text in models.items():
        path = folder / "models" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    sources = {}
    for number, name in enumerate(("acme", "globex"), start=1):
        path = folder / f"{name}.duckdb"
        with duckdb.connect(str(path)) as connection:
            for table in ("sales", "stock"):
                connection.execute(
                    f"CREATE TABLE {table} AS SELECT i AS id, {number} * 100 AS amount "
                    f"FROM range({number}) r(i)"
                )
        sources[name] = {"type": "duckdb", "path": str(path)}
    configuration = {
        "models": str(folder / "models"),
        "state_directory": "state",
        "server": {"port": 0},
        "auth": {"users": {name: {"password": name, **user} for name, user in USERS.items()}},
        "data_sources": {**sources, "default": sources["acme"]},
        "tenancy": tenancy,
    }
    path = folder / "cubewire.yml"
    path.write_text(json.dumps(configuration))
    return start_server(["--config", str(path)])


@pytest.fixture(scope="module")
def by_source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    tenancy = {
        "mode": "data_source",
        "data_sources": {"acme": "acme", "globex": "globex"},
        "replaces": "warehouse",
    }
    model = SALES.replace("sql_table", "data_source: warehouse\n    sql_table")
    server = serve(tmp_path_factory.mktemp("sources"), {"sales.yml": model}, tenancy)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def by_model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    models = {"acme/a.yml": SALES, "globex/b.yml": STOCK}
    server = serve(tmp_path_factory.mktemp("models"), models, {"mode": "models"})
    yield server
    server.stop()


def connect(server: RunningServer, user: str) -> psycopg.Connection:
    return psycopg.connect(dsn(server, user), autocommit=True)


def one(connection: psycopg.Connection, sql: str) -> object:
    row = connection.execute(sql.encode()).fetchone()
    return None if row is None else row[0]


def test_each_tenant_reads_its_own_data_source(by_source: RunningServer) -> None:
    totals = "SELECT measure(total) FROM sales"
    with connect(by_source, "ann") as ann, connect(by_source, "gil") as gil:
        for _ in range(3):  # from the cache too
            assert (one(ann, totals), one(gil, totals)) == (100, 400)
        gil.execute("PREPARE t AS SELECT measure(total) FROM sales")
        assert one(gil, "EXECUTE t") == 400
        gil.execute("SET ROLE ann")
        assert (one(gil, "EXECUTE t"), one(gil, totals)) == (100, 100)
        gil.execute("RESET ROLE")
        assert (one(gil, "EXECUTE t"), one(gil, totals)) == (400, 400)
        assert "acme" not in str(gil.execute(f"EXPLAIN {totals}".encode()).fetchall())


@pytest.mark.parametrize("user", ["una", "nil"])
def test_who_has_no_tenant_is_refused(
    by_source: RunningServer, by_model: RunningServer, user: str
) -> None:
    for server in (by_source, by_model):
        with pytest.raises(psycopg.OperationalError, match=f'role "{user}" belongs to no tenant'):
            connect(server, user)


def test_each_tenant_has_its_own_model(by_model: RunningServer) -> None:
    names = (
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
    )
    with connect(by_model, "ann") as ann, connect(by_model, "gil") as gil:
        assert ann.execute(names.encode()).fetchall() == [("sales",)]
        assert gil.execute(names.encode()).fetchall() == [("stock",)]
        assert one(ann, "SELECT measure(total) FROM sales") == 100
        assert one(gil, "SELECT measure(total) FROM stock") == 100
        for connection, other in ((ann, "stock"), (gil, "sales")):
            with pytest.raises(psycopg.errors.UndefinedTable) as caught:
                connection.execute(f"SELECT * FROM {other}".encode())
            assert caught.value.diag.message_hint is None
        gil.execute("SET ROLE ann")
        assert one(gil, "SELECT measure(total) FROM sales") == 100


def test_a_tenants_faulty_model_is_reported_at_start(tmp_path: Path) -> None:
    models = {"acme/a.yml": SALES, "globex/b.yml": STOCK.replace("type: sum", "type: some")}
    with pytest.raises(RuntimeError, match=r"b\.yml:9"):
        serve(tmp_path, models, {"mode": "models"})


def test_the_models_of_all_tenants_are_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, text in (("acme", SALES), ("globex", STOCK.replace("type: sum", "type: some"))):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.yml").write_text(text)
    config = tmp_path / "cubewire.yml"
    config.write_text(json.dumps({"models": str(tmp_path), "tenancy": {"mode": "models"}}))
    assert main(["check", "--config", str(config)]) == 1
    out = capsys.readouterr().out
    assert "ok: 1 cubes" in out
    assert "a.yml:9" in out
    assert main(["check", "--config", str(config), "--format", "json"]) == 1
    found = {Path(each["folder"]).name: each["ok"] for each in json.loads(capsys.readouterr().out)}
    assert found == {"acme": True, "globex": False}


async def test_a_tenant_whose_data_cannot_be_reached_is_tried_again() -> None:
    asked: list[Model] = []
    scope = object.__new__(Scope)

    class Made(Scopes):
        def __init__(self) -> None:
            """Nothing is decided here."""

        async def open(self, context: SecurityContext) -> Scope:
            del context
            return scope

    async def make(model: Model) -> Scopes:
        asked.append(model)
        await asyncio.sleep(0.01)
        if len(asked) == 1:
            raise WarehouseError("08006", "no route to host")
        return Made()

    scopes = TenantScopes(object(), {"acme": Model(())}, make)  # type: ignore[arg-type]
    ann = SecurityContext.of("ann", tenant="acme")
    failed = await asyncio.gather(*(scopes.open(ann) for _ in range(3)), return_exceptions=True)
    assert [error.sqlstate for error in failed if isinstance(error, SessionError)] == ["57P03"] * 3
    assert await asyncio.gather(*(scopes.open(ann) for _ in range(3))) == [scope] * 3
    assert len(asked) == 2
