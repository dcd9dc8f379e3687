"""riffq over a DuckDB file: ``python -m tests.bench.peers.riffq_server FILE PORT``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import duckdb
import riffq


def main() -> None:
    path, port = sys.argv[1], int(sys.argv[2])
    database = duckdb.connect(path, read_only=True)

    class Connection(riffq.BaseConnection):  # type: ignore[misc]
        """Runs each statement on a cursor of its own, in the library's pool of threads."""

        def _run(self, sql: str, callback: Callable[..., Any]) -> None:
            try:
                self.send_reader(database.cursor().sql(sql).to_arrow_reader(), callback)
            except Exception as error:  # noqa: BLE001 - whatever it is, the client is told
                callback(("ERROR", "XX000", str(error)), is_error=True)

        def handle_query(self, sql: str, callback: Callable[..., Any], **_: object) -> None:
            self.executor.submit(self._run, sql, callback)

    riffq.RiffqServer(f"127.0.0.1:{port}", connection_cls=Connection).start(tls=False)


if __name__ == "__main__":
    main()
