"""A shop whose callers see different parts of it, served from DuckDB.

``stan`` (staff) sees everything, ``sara`` (sales) customers without their addresses, ``otto`` and
``olga`` the orders of a city each, and ``nora`` is of no city.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import duckdb

from tests.support.server import RunningServer, start_server

MODEL = Path(__file__).parent / "models" / "shop.yml"

USERS: dict[str, dict[str, Any]] = {
    "stan": {"groups": ["staff"], "act_as": ["*"]},
    "sara": {"groups": ["sales"], "attributes": {"city": 1}},
    "otto": {"attributes": {"city": 1}},
    "olga": {"attributes": {"city": 2}},
    "nora": {},
}

TABLES = """
CREATE TABLE customers AS SELECT i AS id, 'customer ' || i AS name, 'c' || i || '@x' AS email
FROM range(1, 6) r(i);
CREATE TABLE cities AS SELECT * FROM (VALUES (1, 'Rome'), (2, 'Oslo')) v(id, name);
CREATE TABLE payroll AS SELECT i AS id, i * 1000.0 AS salary FROM range(1, 4) r(i);
CREATE TABLE orders AS SELECT i AS id, 1 + i % 5 AS customer_id, 1 + i % 2 AS city_id,
  CASE WHEN i % 3 = 0 THEN 'new' ELSE 'done' END AS status, 'web' AS channel,
  TIMESTAMP '2024-01-01' + INTERVAL 1 DAY * i AS placed_at,
  TIMESTAMP '2024-01-02' + INTERVAL 1 DAY * i AS paid_at,
  (i * 10)::DECIMAL(12, 2) AS amount, (i * 4)::DECIMAL(12, 2) AS cost
FROM range(1, 21) r(i);
"""


def make_warehouse(path: Path) -> None:
    with duckdb.connect(str(path)) as connection:
        connection.execute(TABLES)


def write_configuration(folder: Path, **more: object) -> Path:
    """A configuration over the shop in a folder of its own. Returns its path."""
    make_warehouse(folder / "shop.duckdb")
    configuration = {
        "models": str(MODEL.parent),
        "state_directory": "state",
        "server": {"port": 0},
        "auth": {"users": {name: {"password": name, **user} for name, user in USERS.items()}},
        "data_sources": {"default": {"type": "duckdb", "path": str(folder / "shop.duckdb")}},
        **more,
    }
    path = folder / "cubewire.yml"
    path.write_text(json.dumps(configuration))
    return path


def start_shop(folder: Path, **more: object) -> RunningServer:
    return start_server(["--config", str(write_configuration(folder, **more))])


def dsn(server: RunningServer, user: str) -> str:
    return f"postgresql://{user}:{user}@{server.host}:{server.port}/cubewire"
