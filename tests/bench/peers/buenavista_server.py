"""buenavista over a DuckDB file: ``python -m tests.bench.peers.buenavista_server FILE PORT``."""

from __future__ import annotations

import sys

import duckdb
from buenavista.backends.duckdb import DuckDBConnection
from buenavista.postgres import BuenaVistaServer


def main() -> None:
    path, port = sys.argv[1], int(sys.argv[2])
    database = duckdb.connect(path, read_only=True)
    BuenaVistaServer.request_queue_size = 1024
    BuenaVistaServer(("127.0.0.1", port), DuckDBConnection(database)).serve_forever()


if __name__ == "__main__":
    main()
