"""A ClickHouse for tests, where the package ``chdb-core`` is installed: the engine in a process."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import urllib.request
from collections.abc import Sequence
from pathlib import Path

INSTALLED = importlib.util.find_spec("chdb") is not None
REASON = "the ClickHouse engine is not installed: make test-warehouses"


class ClickHouseServer:
    """A ClickHouse engine behind its HTTP interface, in a process of its own."""

    def __init__(self, directory: Path, password: str = "") -> None:
        self.directory = directory
        self.password = password
        self._process: subprocess.Popen[str] | None = None
        self.port = 0

    def start(self) -> None:
        command = [sys.executable, "-m", "tests.support.clickhouse_http", str(self.directory)]
        if self.password:
            command.append(self.password)
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line.strip().isdigit(), "the ClickHouse process did not start"
        self.port = int(line)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/default"

    def run(self, statements: Sequence[str]) -> None:
        """Run statements that return nothing."""
        for statement in statements:
            self.query(statement)

    def query(self, sql: str) -> str:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/?database=default",
            data=sql.encode(),
            headers={"X-ClickHouse-Key": self.password},
        )
        with urllib.request.urlopen(request) as answer:
            return answer.read().decode()

    def kill(self) -> None:
        """End the process at once, as a machine does that fails."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        assert process.stdout is not None
        process.stdout.close()
