"""A statement's tag, all the way from the client to the warehouse: one that shows its own text."""

from __future__ import annotations

import json
import re
from pathlib import Path

import psycopg

from tests.reliability.support import cube, dsn
from tests.support.oracle import OraclePostgres
from tests.support.server import start_server
from tests.support.tables import fresh_database

VIEW = (
    "CREATE VIEW mirror AS SELECT 1::bigint AS id, query AS text FROM pg_stat_activity"
    " WHERE pid = pg_backend_pid()"
)
_COMMENT = re.compile(
    r" /\*application='cubewire',cube='mirror',statement='([0-9a-f]{16})',user='demo'\*/\Z"
)


def test_a_statement_is_tagged(oracle: OraclePostgres, tmp_path: Path) -> None:
    fresh_database(oracle, "tags")
    source = oracle.dsn.replace("/postgres", "/tags")
    with psycopg.connect(source, autocommit=True) as connection:
        connection.execute(VIEW)  # type: ignore[arg-type]
    models = tmp_path / "models"
    models.mkdir()
    (models / "mirror.yml").write_text(json.dumps({"cubes": [cube("mirror", text="string")]}))
    told = ["user", "cube", "statement"]
    config = {
        "models": str(models),
        "state_directory": str(tmp_path / "state"),
        "auth": {"users": {"demo": {"password": "demo"}}},
        "data_sources": {"default": {"type": "postgres", "dsn": source, "comment": told}},
        "server": {"port": 0},
    }
    file = tmp_path / "cubewire.yml"
    file.write_text(json.dumps(config))
    server = start_server(["--config", str(file)])
    try:
        with psycopg.connect(dsn(server, "demo"), autocommit=True) as client:
            seen = [
                client.execute(f"SELECT text FROM mirror WHERE text <> '{letter}'").fetchone()
                for letter in ("secret", "other")
            ]
    finally:
        server.stop()
    found = [_COMMENT.search(row[0]) for row in seen if row is not None]
    # Literals are in the statement, and make no difference in what is told of it.
    assert len({match[1] for match in found if match is not None}) == 1
    assert len(found) == 2
    assert None not in found
