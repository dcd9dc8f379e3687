"""A role that writes pre-aggregations beside one that may only read."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

import psycopg

from tests.rollups_store.served import TOTALS, configure, connect, explain, served
from tests.rollups_store.support import POSTGRES
from tests.support.oracle import OraclePostgres
from tests.support.waiting import until


def test_a_reader_is_given_what_the_writer_builds(tmp_path: Path, oracle: OraclePostgres) -> None:
    setup = configure(POSTGRES, tmp_path / "here", oracle, every="1 hour")
    reader = f'reader "{secrets.token_hex(3)}'
    quoted = '"' + reader.replace('"', '""') + '"'
    with psycopg.connect(setup.dsn, autocommit=True) as owner:
        owner.execute(f"CREATE ROLE {quoted} LOGIN")  # type: ignore[arg-type]
        owner.execute(f"GRANT SELECT ON served_events TO {quoted}")  # type: ignore[arg-type]
    config = json.loads(setup.config.read_text())
    name = reader.replace(" ", "%20").replace('"', "%22")
    config["data_sources"]["default"] |= {
        "dsn": setup.dsn.replace("oracle@", f"{name}@"),
        "rollup_dsn": setup.dsn,
    }
    setup.config.write_text(json.dumps(config))
    try:
        with served(setup) as server, connect(server) as client:
            until(lambda: explain(client)["Rollups"] == ["events.by_day"])
            client.execute("SET cubewire.rollups = 'only'")
            assert [row[0] for row in client.execute(TOTALS).fetchall()] == ["am", "pm"]
    finally:
        with psycopg.connect(setup.dsn, autocommit=True) as owner:
            owner.execute(f"DROP OWNED BY {quoted}")  # type: ignore[arg-type]
            owner.execute(f"DROP ROLE {quoted}")  # type: ignore[arg-type]
