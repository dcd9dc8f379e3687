"""A Trino of one node with its memory connector, where one has been unpacked.

``TRINO_HOME`` is the folder of an unpacked ``trino-server`` (Maven Central has it), ``TRINO_JAVA``
the ``java`` that it wants (24 or newer for version 476).
"""

from __future__ import annotations

import atexit
import contextlib
import datetime
import functools
import json
import os
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.conftest import free_port

SCHEMA = "default"
_START_SECONDS = 240
_ROWS_AT_ONCE = 100


def why_not() -> str | None:
    """What is missing; None where Trino can be run."""
    if "TRINO_HOME" not in os.environ or "TRINO_JAVA" not in os.environ:
        return "TRINO_HOME and TRINO_JAVA do not say where a Trino is"
    return None


@contextlib.contextmanager
def trino_server(folder: Path) -> Iterator[int]:
    """The port of a server of its own."""
    home = Path(os.environ["TRINO_HOME"])
    port = free_port()
    plugins = folder / "plugin"
    plugins.mkdir()
    (plugins / "memory").symlink_to(home / "plugin" / "memory")
    settings = folder / "etc"
    (settings / "catalog").mkdir(parents=True)
    (settings / "catalog" / "memory.properties").write_text("connector.name=memory\n")
    (settings / "config.properties").write_text(
        "coordinator=true\nnode-scheduler.include-coordinator=true\n"
        f"http-server.http.port={port}\ndiscovery.uri=http://127.0.0.1:{port}\n"
        f"node.environment=test\nplugin.dir={plugins}\n"
        "node.internal-address=127.0.0.1\nquery.max-memory=600MB\n"
    )
    command = [os.environ["TRINO_JAVA"], "-Xmx2G", "-Djdk.attach.allowAttachSelf=true"]
    command += ["--add-modules=jdk.incubator.vector", "--sun-misc-unsafe-memory-access=allow"]
    command += [f"-Dconfig={settings / 'config.properties'}", f"-Dnode.data-dir={folder}"]
    command += ["-cp", f"{home / 'lib'}/*", "io.trino.server.TrinoServer"]
    log = folder / "trino.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=subprocess.STDOUT)
        try:
            deadline = time.monotonic() + _START_SECONDS
            while not _has_started(port):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(log.read_text()[-3000:])
                time.sleep(0.5)
            yield port
        finally:
            process.terminate()
            process.wait(60)


def _has_started(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/info", timeout=5) as answer:
            return not json.load(answer)["starting"]
    except OSError:
        return False


@functools.cache
def shared_server() -> int:
    """The port of a server that this process keeps till its end: it takes long to start."""
    stack = contextlib.ExitStack()
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="trino-")))
    atexit.register(stack.close)
    return stack.enter_context(trino_server(folder))


def source(port: int) -> dict[str, object]:
    """The data source of its memory."""
    place = {"catalog": "memory", "schema_name": SCHEMA}
    return {"type": "trino", "host": "127.0.0.1", "port": port, "user": "reader", **place}


def fill(port: int, name: str, types: Mapping[str, str], rows: Sequence[Sequence[object]]) -> None:
    """Make a table.

    Args:
        port: of the server.
        name: of the table.
        types: of the columns by name, as Trino spells them.
        rows: of the table; values may be texts, as PostgreSQL writes them.
    """
    columns = ", ".join(f'"{column}" {kind}' for column, kind in types.items())
    _run(port, f"DROP TABLE IF EXISTS {name}")
    _run(port, f"CREATE TABLE {name} ({columns})")
    kinds = list(types.values())
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        values = ", ".join(
            f"({', '.join(map(_literal, row, kinds))})"
            for row in rows[start : start + _ROWS_AT_ONCE]
        )
        _run(port, f"INSERT INTO {name} VALUES {values}")


def _run(port: int, sql: str) -> None:
    import trino.dbapi

    connection: Any = trino.dbapi.connect(
        host="127.0.0.1", port=port, user="writer", catalog="memory", schema=SCHEMA
    )
    with contextlib.closing(connection):
        connection.cursor().execute(sql).fetchall()


def _literal(value: object, kind: str) -> str:
    if value is None:
        return f"CAST(NULL AS {kind})"
    if isinstance(value, datetime.datetime):
        text = value.replace(tzinfo=None).isoformat(" ")
        text += " UTC" if value.tzinfo is not None else ""
    elif kind.endswith("time zone"):
        text = str(value).removesuffix("+00") + " UTC"
    else:
        text = str(value)
    return "CAST('" + text.replace("'", "''") + f"' AS {kind})"
