"""A server whose model is written anew again and again, each version telling which one it is."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from tests.conftest import free_port
from tests.support.server import RunningServer, start_server
from tests.support.waiting import until

TABLE = "CREATE TABLE things AS SELECT i AS id, i % 3 AS kind, i AS amount FROM range(1, 101) t(i)"
TOTAL = 5050
TOKEN = "let me"


def member(name: str, sql: str, kind: str, **more: object) -> dict[str, Any]:
    return {"name": name, "sql": sql, "type": kind, **more}


def model(
    number: int, *columns: str, policy: list[dict[str, Any]] | None = None, **more: Any
) -> dict[str, Any]:
    """A version: its ``tag`` says its number, and its ``total`` is so many times as large.

    Args:
        columns: names of further columns.
        policy: who may see what of the cube.
    """
    things: dict[str, Any] = {
        "name": "things",
        "sql_table": "things",
        "dimensions": [
            member("id", "{CUBE}.id", "number", primary_key=True, public=True),
            member("tag", f"'v{number}'", "string"),
            picked(number),
            *(member(name, "{CUBE}.kind", "number") for name in columns),
        ],
        "measures": [member("total", f"{{CUBE}}.amount * {number}", "sum")],
    }
    if policy is not None:
        things["access_policy"] = policy
    return {"cubes": [things, {**still(), **more}]}


def still() -> dict[str, Any]:
    """A cube that is the same in all versions."""
    dimensions = [member("id", "{CUBE}.id", "number", primary_key=True, public=True)]
    measures = [{"name": "many", "type": "count"}]
    return {
        "name": "still",
        "sql_table": "things",
        "dimensions": dimensions,
        "measures": measures,
    }


def picked(number: int) -> dict[str, Any]:
    """A column that is a number in odd versions, a text in even ones."""
    if number % 2:
        return member("pick", f"{number}", "number", data_type="bigint")
    return member("pick", f"'v{number}'", "string")


@dataclass(slots=True)
class World:
    """The server, its folder and its users, whose passwords are their names."""

    folder: Path
    running: RunningServer
    admin_port: int = 0
    opened: list[psycopg.Connection[Any]] = field(default_factory=list)

    def connect(self, user: str = "demo", **options: Any) -> psycopg.Connection[Any]:
        dsn = f"postgresql://{user}:{user}@{self.running.host}:{self.running.port}/cubewire"
        connection = psycopg.connect(dsn, autocommit=True, **options)
        self.opened.append(connection)
        return connection

    def write(self, content: dict[str, Any] | str) -> None:
        """Put a model into the folder at once, as an editor does."""
        text = content if isinstance(content, str) else json.dumps(content)
        made = self.folder / "new"
        made.write_text(text)
        made.replace(self.folder / "models" / "cubes.yml")

    def version(self) -> str:
        return str(self.readiness()["model"]["version"])

    def serve(self, content: dict[str, Any], connection: psycopg.Connection[Any]) -> None:
        """Write a model, and wait until a session has it."""
        before = value(connection, "SHOW cubewire.model_version")
        self.write(content)
        until(lambda: value(connection, "SHOW cubewire.model_version") != before)

    def admin(
        self, path: str, method: str = "GET", headers: dict[str, str] | None = None
    ) -> tuple[int, str]:
        url = f"http://127.0.0.1:{self.admin_port}{path}"
        data = b'{"ref": "refs/heads/main"}' if method == "POST" else None
        request = urllib.request.Request(url, data, headers or {}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def readiness(self) -> dict[str, Any]:
        status, body = self.admin("/readyz")
        assert status == 200
        answer: dict[str, Any] = json.loads(body)
        return answer

    def metric(self, line: str) -> float:
        for each in self.admin("/metrics")[1].splitlines():
            if each.startswith(line):
                return float(each.rsplit(" ", 1)[1])
        return 0.0

    def close(self) -> None:
        for connection in self.opened:
            connection.close()
        self.running.stop()


def start(folder: Path, first: dict[str, Any], **settings: Any) -> World:
    """Start a server over a model."""
    (folder / "models").mkdir()
    (folder / "models" / "cubes.yml").write_text(json.dumps(first))
    port = free_port()
    config = {
        "models": str(folder / "models"),
        "state_directory": str(folder / "state"),
        "server": {"port": 0, "admin_port": port},
        "auth": {
            "users": {
                "demo": {"password": "demo", "groups": ["staff"]},
                "guest": {"password": "guest", "groups": ["guests"]},
            }
        },
        "data_sources": {"default": {"type": "duckdb", "setup": [TABLE]}},
        "reload": {"interval": 0.05, "debounce": 0.05, "token": TOKEN},
        "audit": {"sink": "file", "file": str(folder / "audit.jsonl")},
        **settings,
    }
    path = folder / "cubewire.yml"
    path.write_text(json.dumps(config))
    return World(folder, start_server(["--config", str(path)]), port)


def value(connection: psycopg.Connection[Any], text: str) -> Any:
    row = connection.execute(text.encode()).fetchone()
    return None if row is None else row[0]
