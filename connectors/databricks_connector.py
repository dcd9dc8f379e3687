"""Databricks (SQL warehouses and clusters), over its own connector in bounded threads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import databricks.sql

from connectors.databricks_errors import warehouse_error
from connectors.databricks_session import DatabricksSession
from connectors.databricks_tokens import ServiceTokens
from connectors.tags import PARTS, check_parts
from connectors.threaded_connector import ThreadedConnector, Threads


@dataclass(frozen=True, slots=True)
class DatabricksOptions:
    """Options of a ``databricks`` data source.

    Attributes:
        host: of the workspace.
        http_path: of the warehouse or cluster, as its connection details say it.
        token: a personal access token.
        client_id: of a service principal, for OAuth instead of a token.
        client_secret: its secret.
        catalog: of unqualified schemas; empty for the workspace's.
        schema_name: of unqualified tables; empty for the catalog's.
        settings: of the session, each as ``name=value``.
        tags: what is told of each statement by its query tags.
        cloud_fetch: whether large results are read from the cloud's storage.
        endpoint: where it is not the host's own, as ``http://host:port``.
        request_seconds: how long one request may take.
        quick_threads: statements that run at once in their first moment.
        slow_threads: statements that run at once after it.
        queue_seconds: how long a statement may wait for a thread before 53300.
        batch_rows: rows of a batch, after the first one.
    """

    host: str
    http_path: str
    token: str = ""
    client_id: str = ""
    client_secret: str = ""
    catalog: str = ""
    schema_name: str = ""
    settings: tuple[str, ...] = ()
    tags: tuple[str, ...] = PARTS
    cloud_fetch: bool = True
    endpoint: str = ""
    request_seconds: float = 60.0
    quick_threads: int = 8
    slow_threads: int = 16
    queue_seconds: float = 30.0
    batch_rows: int = 65536

    def __post_init__(self) -> None:
        check_parts(self.tags)
        if bool(self.token) == bool(self.client_id):
            raise ValueError("either token or client_id is needed")
        if bool(self.client_id) != bool(self.client_secret):
            raise ValueError("client_id and client_secret belong together")
        if any("=" not in item for item in self.settings):
            raise ValueError("each of settings must be name=value")


class DatabricksConnector(ThreadedConnector):
    """A warehouse or cluster of Databricks as a Connector. Sessions are in the time zone UTC."""

    def __init__(self, options: DatabricksOptions) -> None:
        threads = Threads.of(options)
        super().__init__("databricks", self._open, warehouse_error, threads)
        self._options = options
        self._tokens: ServiceTokens | None = None
        if options.client_id:
            url = f"{options.endpoint or 'https://' + options.host}/oidc/v1/token"
            self._tokens = ServiceTokens(
                url, options.client_id, options.client_secret, options.request_seconds
            )

    def _open(self) -> DatabricksSession:
        options = self._options
        given: dict[str, Any] = {"access_token": options.token}
        if self._tokens is not None:
            # Once ahead of the driver, which would say of a refusal that nobody answers.
            self._tokens.headers()
            given = {"credentials_provider": self._tokens}
        if options.endpoint:
            given["_connection_uri"] = f"{options.endpoint}/{options.http_path.lstrip('/')}"
        connect: Any = databricks.sql.connect
        connection = connect(
            server_hostname=options.host,
            http_path=options.http_path,
            catalog=options.catalog or None,
            schema=options.schema_name or None,
            session_configuration=dict(_pair(item) for item in options.settings),
            use_cloud_fetch=options.cloud_fetch,
            user_agent_entry="cubewire",
            enable_telemetry=False,
            _socket_timeout=options.request_seconds,
            _retry_stop_after_attempts_count=4,
            _retry_stop_after_attempts_duration=options.request_seconds,
            **given,
        )
        return DatabricksSession(connection, options.tags)


def _pair(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name.strip(), value.strip()
