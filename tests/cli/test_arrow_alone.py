"""Pandas is installed beside a server as a rule; it is none of its business."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from tests.reliability.support import dsn
from tests.support.one_cube import serving_cube

pytest.importorskip("pandas")

SCRIPT = """
import sys
import pyarrow as pa
from proxy.arrow_alone import leave_pandas_out
leave_pandas_out()
assert pa.array([1, None]).null_count == 1
assert "pandas" not in sys.modules
assert list(pa.table({"number": [1]}).to_pandas()["number"]) == [1]
leave_pandas_out()
assert pa.array(sys.modules["pandas"].Series([1, 2])).to_pylist() == [1, 2]
"""


def test_who_asks_for_it_by_name_gets_it() -> None:
    subprocess.run([sys.executable, "-c", SCRIPT], check=True, timeout=50)


@pytest.mark.skipif(sys.platform != "linux", reason="what a process has mapped is read from /proc")
def test_a_server_does_without(tmp_path: Path) -> None:
    cube = {
        "name": "tiny",
        "sql_table": "tiny",
        "dimensions": [{"name": "id", "type": "number", "sql": "{CUBE}.id", "primary_key": True}],
    }
    source = {"type": "duckdb", "setup": ["CREATE TABLE tiny AS FROM range(9) t(id)"]}
    with serving_cube(tmp_path, cube, source, fresh=True) as server:
        with psycopg.connect(dsn(server), autocommit=True) as connection:
            for most in range(5):
                # What was small the last time is read as Python values.
                sql = "SELECT id FROM tiny WHERE id < %s"
                found = connection.execute(sql, [most], prepare=True).fetchall()
                assert len(found) == most
        mapped = Path(f"/proc/{server.process.pid}/maps").read_text()
        assert "/pyarrow/" in mapped
        assert "/pandas/" not in mapped
