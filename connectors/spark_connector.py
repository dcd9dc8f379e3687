"""Spark through Spark Connect, and what else speaks it (Databricks).

The client blocks, so statements run in worker threads. The server computes whole partitions and
keeps what it has computed until it is read: how much that may be is a matter of its configuration.
"""

from __future__ import annotations

from dataclasses import dataclass

from connectors.spark_errors import warehouse_error
from connectors.spark_session import SparkConnectSession, SparkSettings
from connectors.threaded_connector import ThreadedConnector, Threads


@dataclass(frozen=True, slots=True)
class SparkOptions:
    """Options of a ``spark`` data source.

    Attributes:
        url: of Spark Connect, as ``sc://host:15002/;token=...``.
        catalog: of unqualified schemas; empty for the server's.
        database: of unqualified tables; empty for the server's.
        settings: of the session on the server, each as ``name=value``.
        quick_threads: statements that run at once in their first moment.
        slow_threads: statements that run at once after it.
        queue_seconds: how long a statement may wait for a thread before 53300.
        batch_rows: rows of a batch, after the first one.
    """

    url: str
    catalog: str = ""
    database: str = ""
    settings: tuple[str, ...] = ()
    quick_threads: int = 8
    slow_threads: int = 16
    queue_seconds: float = 30.0
    batch_rows: int = 65536

    def __post_init__(self) -> None:
        if not self.url.startswith("sc://"):
            raise ValueError("url must be one of Spark Connect: sc://host:port")
        if any("=" not in item for item in self.settings):
            raise ValueError("each of settings must be name=value")


class SparkConnector(ThreadedConnector):
    """A Spark server as a Connector. Statements run in the time zone UTC."""

    def __init__(self, options: SparkOptions) -> None:
        settings = SparkSettings(
            options.url,
            tuple(_pair(item) for item in options.settings),
            options.catalog,
            options.database,
        )
        threads = Threads.of(options)
        super().__init__("spark", lambda: SparkConnectSession(settings), warehouse_error, threads)


def _pair(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name.strip(), value.strip()
