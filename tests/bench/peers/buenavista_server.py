"""buenavista over a DuckDB file: ``python -m tests.bench.peers.buenavista_server FILE PORT``."""

from __future__ import annotations

import sys
from typing import Any

import duckdb
import pyarrow as pa
from buenavista.backends.duckdb import DuckDBConnection
from buenavista.postgres import BuenaVistaServer


class Cursor:
    """A DuckDB connection with the method that buenavista calls and DuckDB 2 no longer has."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def cursor(self) -> Cursor:
        return Cursor(self._connection.cursor())

    def fetch_record_batch(self) -> pa.RecordBatchReader:
        return self._connection.to_arrow_reader()


def main() -> None:
    path, port = sys.argv[1], int(sys.argv[2])
    database = Cursor(duckdb.connect(path, read_only=True))
    BuenaVistaServer.request_queue_size = 1024
    BuenaVistaServer(("127.0.0.1", port), DuckDBConnection(database)).serve_forever()


if __name__ == "__main__":
    main()
