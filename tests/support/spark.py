"""A Spark server with Spark Connect, where the package that ships one and Java are installed."""

from __future__ import annotations

import atexit
import contextlib
import functools
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from tests.conftest import free_port

_CLASS = "org.apache.spark.sql.connect.service.SparkConnectServer"
_START_SECONDS = 120


def why_not() -> str | None:
    """What is missing; None where Spark can be run."""
    if importlib.util.find_spec("pyspark") is None:
        return "pyspark is not installed: pip install 'pyspark[connect]'"
    if shutil.which("java") is None:
        return "Java is not installed"
    return None


needs_spark = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))


@contextlib.contextmanager
def spark_server(folder: Path) -> Iterator[str]:
    """The URL of a server of its own, with a warehouse in a folder."""
    spec = importlib.util.find_spec("pyspark")
    assert spec is not None
    assert spec.origin is not None
    home = Path(spec.origin).parent
    port = free_port()
    settings = {
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.grpc.binding.port": str(port),
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.sql.shuffle.partitions": "2",
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
        "spark.driver.extraJavaOptions": f"-Dderby.system.home={folder / 'derby'}",
    }
    command = [str(home / "bin" / "spark-submit"), "--class", _CLASS]
    command += ["--master", "local[2]", "--driver-memory", "1g"]
    for name, value in settings.items():
        command += ["--conf", f"{name}={value}"]
    environment = {
        **os.environ,
        "SPARK_HOME": str(home),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYSPARK_PYTHON": sys.executable,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    log = folder / "spark.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "spark-internal"],
            cwd=folder,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            deadline = time.monotonic() + _START_SECONDS
            while b"Spark Connect server started" not in log.read_bytes():
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(log.read_text()[-2000:])
                time.sleep(0.2)
            yield f"sc://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(30)


@functools.cache
def shared_server() -> str:
    """The URL of a server that this process keeps till its end: it takes long to start."""
    stack = contextlib.ExitStack()
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="spark-")))
    atexit.register(stack.close)
    return stack.enter_context(spark_server(folder))


def fill(
    url: str, name: str, types: Mapping[str, str], rows: Sequence[Sequence[str | None]]
) -> None:
    """Make a table of values that are given as texts.

    Args:
        url: of the server.
        name: of the table.
        types: of the columns by name, as Spark spells them.
        rows: of the table.
    """
    import pyarrow as pa
    from pyspark.sql.connect.session import SparkSession

    session = SparkSession.builder.remote(url).create()
    try:
        session.conf.set("spark.sql.session.timeZone", "UTC")
        columns = [[row[place] for row in rows] for place in range(len(types))]
        texts = pa.table([pa.array(column, pa.string()) for column in columns], list(types))
        session.createDataFrame(texts).createOrReplaceTempView("texts")
        if "." in name:
            session.sql(f"CREATE DATABASE IF NOT EXISTS {name.partition('.')[0]}")
        session.sql(f"DROP TABLE IF EXISTS {name}")
        listed = ", ".join(
            f"CAST({column} AS {kind}) AS {column}" for column, kind in types.items()
        )
        session.sql(
            f"CREATE TABLE {name} USING parquet AS SELECT /*+ COALESCE(1) */ {listed} FROM texts"
        )
    finally:
        session.client.close()
