"""Parts of the connectors that need no warehouse."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from decimal import Decimal

import pytest

from connectors.base import Parameter
from connectors.duckdb_connector import DuckDBConnector, DuckDBOptions
from connectors.duckdb_errors import warehouse_error
from connectors.duckdb_types import bound_values, duckdb_time_zone, postgres_type
from connectors.errors import WarehouseError
from connectors.options import ConnectorOptionsError
from connectors.postgres_messages import DATA_ROW, MessageSplitter
from connectors.registry import open_connector
from connectors.workers import Lanes, Workers, WorkersBusyError
from tests.support.waiting import until_async


def test_unknown_kind_names_the_nearest() -> None:
    with pytest.raises(ConnectorOptionsError, match="did you mean 'postgres'"):
        open_connector("postgresql", {})
    with pytest.raises(ConnectorOptionsError, match=r"valid are .*duckdb, .*postgres"):
        open_connector("oracle", {})


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("duckdb", {"pathh": "x"}, "unknown option 'pathh'.*did you mean 'path'"),
        ("duckdb", {"zzz": 1}, "unknown option 'zzz'.*valid are .*threads"),
        ("duckdb", {"threads": "many"}, "'threads'.*must be of type int"),
        ("duckdb", {"threads": 1.5}, "'threads'.*must be of type int"),
        ("duckdb", {"threads": True}, "'threads'.*must be of type int"),
        ("duckdb", {"read_only": "maybe"}, "'read_only'.*must be of type bool"),
        ("duckdb", {"path": 5}, "'path'.*must be a text"),
        ("duckdb", {"setup": "SELECT 1"}, "'setup'"),
        ("duckdb", {"nice": 40}, "nice"),
        ("duckdb", {"quick_threads": 0}, "at least 1"),
        ("postgres", {}, "needs the option 'dsn'"),
        ("postgres", {"dsn": "x", "pool_size": 0}, "at least 1"),
    ],
)
def test_wrong_option(kind: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(ConnectorOptionsError, match=message):
        open_connector(kind, options)


def test_texts_of_the_environment_are_options() -> None:
    connector = open_connector(
        "duckdb", {"threads": "3", "read_only": "false", "queue_seconds": 5, "setup": ["SELECT 1"]}
    )
    assert isinstance(connector, DuckDBConnector)
    assert connector._options == DuckDBOptions(
        threads=3, read_only=False, queue_seconds=5.0, setup=("SELECT 1",)
    )


def test_missing_driver_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    monkeypatch.delitem(sys.modules, "connectors.duckdb_connector")
    monkeypatch.delitem(sys.modules, "connectors.duckdb_reader")
    with pytest.raises(ConnectorOptionsError, match=r"pip install 'cubewire\[duckdb\]'"):
        open_connector("duckdb", {})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("BIGINT", ("int8", -1)),
        ("DECIMAL(18,3)", ("numeric", (18 << 16 | 3) + 4)),
        ("DECIMAL(18,3)[]", ("_numeric", (18 << 16 | 3) + 4)),
        ("INTEGER[3]", ("_int4", -1)),
        ("INTEGER[][]", ("_int4", -1)),
        ("TIMESTAMP WITH TIME ZONE", ("timestamptz", -1)),
        ("ENUM('a[]', 'b')", ("text", -1)),
        ("STRUCT(a INTEGER[])", ("json", -1)),
        ("STRUCT(a INTEGER)[]", ("_json", -1)),
        ("MAP(INTEGER, VARCHAR)", ("json", -1)),
        ('"NULL"', ("text", -1)),
        ("GEOMETRY", ("text", -1)),
    ],
)
def test_duckdb_type(text: str, expected: tuple[str, int]) -> None:
    assert postgres_type(text) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Europe/Berlin", "Europe/Berlin"),
        ("<+02>-02", "Etc/GMT-2"),
        ("<-11>+11", "Etc/GMT+11"),
        ("<+00>+00", "Etc/UTC"),
    ],
)
def test_duckdb_time_zone(name: str, expected: str) -> None:
    assert duckdb_time_zone(name) == expected


def test_duckdb_time_zone_with_minutes_is_refused() -> None:
    with pytest.raises(WarehouseError) as caught:
        duckdb_time_zone("<+05:30>-05:30")
    assert caught.value.sqlstate == "22023"
    assert caught.value.hint


def test_long_numbers_are_bound_as_text() -> None:
    values = [Decimal("1" * 39), Decimal("NaN"), Decimal("1E+40"), Decimal("1E-40"), Decimal("1.5")]
    bound = bound_values([Parameter("numeric", value) for value in values])
    assert bound == ["1" * 39, "NaN", "1E+40", "1E-40", Decimal("1.5")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 year 2 mons -3 days +04:05:06.7", "14 months -3 days 14706700000 microseconds"),
        ("-00:00:00.000001", "0 months 0 days -1 microseconds"),
        ("P1D", "P1D"),
        ("1 week", "1 week"),
    ],
)
def test_interval_parameter(text: str, expected: str) -> None:
    assert bound_values([Parameter("interval", text)]) == [expected]
    assert bound_values([Parameter("_interval", [text, None])]) == [[expected, None]]


@pytest.mark.parametrize(
    ("text", "sqlstate", "message"),
    [
        ("INTERRUPT Error: Interrupted!", "57014", "canceling statement due to user request"),
        ("Out of Memory Error: failed\n\nhow to", "53200", "failed"),
        ("IO Error: No space left on device", "53100", "No space left on device"),
        ("IO Error: cannot read", "58030", "cannot read"),
        ("INTERNAL Error: oh", "XX000", "oh"),
        ("something else", "XX000", "something else"),
        ("Out of Range Error: Overflow in addition", "22003", "Overflow in addition"),
        (
            "Out of Range Error: Overflow in addition of INT64 (1 + 2)!",
            "22003",
            "bigint out of range",
        ),
        ("Not implemented Error: no", "0A000", "no"),
        (
            "Conversion Error: Could not convert string '22008: date out of range' to INT32",
            "22008",
            "date out of range",
        ),
        ("Constraint Error: dup", "23000", "dup"),
        ("", "XX000", "OSError"),
    ],
)
def test_duckdb_error(text: str, sqlstate: str, message: str) -> None:
    error = warehouse_error(OSError(text))
    assert (error.sqlstate, error.message) == (sqlstate, message)


STREAM = (
    b"1\x00\x00\x00\x04"
    + b"D\x00\x00\x00\x07\x00\x01x"
    + b"D\x00\x00\x00\x08\x00\x01xy"
    + b"C\x00\x00\x00\x0dSELECT 2\x00"
    + b"D\x00\x00\x00\x06\x00\x00"
    + b"Z\x00\x00\x00\x05I"
)


@pytest.mark.parametrize("piece", [1, 2, 3, 5, 7, 11, 1000])
def test_splitter_does_not_depend_on_pieces(piece: int) -> None:
    splitter = MessageSplitter()
    received = []
    for at in range(0, len(STREAM), piece):
        received += splitter.feed(STREAM[at : at + piece])
    assert [message.kind for message in received if message.kind != DATA_ROW] == [49, 67, 90]
    rows = [message for message in received if message.kind == DATA_ROW]
    assert sum(message.rows for message in rows) == 3
    assert b"".join(message.data for message in rows) == STREAM[5:22] + STREAM[36:43]


def test_splitter_joins_a_long_message_once() -> None:
    body = b"x" * 20_000_000
    message = b"D" + (len(body) + 4).to_bytes(4, "big") + body
    splitter = MessageSplitter()
    started = time.monotonic()
    received = []
    for at in range(0, len(message), 16_384):
        received += splitter.feed(message[at : at + 16_384])
    assert time.monotonic() - started < 20  # joined piece by piece it takes minutes
    assert [(item.rows, len(item.data)) for item in received] == [(1, len(message))]


async def test_workers_run_and_raise() -> None:
    workers = Workers("test", Lanes(quick=2, slow=2))
    assert await workers.submit(lambda: 5).future == 5
    with pytest.raises(ZeroDivisionError):
        await workers.submit(lambda: 1 // 0).future
    await workers.close()
    assert workers.running == 0


async def test_slow_calls_leave_the_quick_lane() -> None:
    workers = Workers("test", Lanes(quick=1, slow=2, wait_seconds=5, slow_nice=7))
    release = threading.Event()
    slow = [workers.submit(release.wait) for _ in range(2)]
    assert workers.waiting == 1
    await until_async(lambda: all(call.slow for call in slow))
    assert workers.waiting == 0
    assert await workers.submit(lambda: 1).future == 1
    worker = slow[0].worker
    assert worker is not None
    assert worker.native_id is not None
    assert os.getpriority(os.PRIO_PROCESS, worker.native_id) == 7
    release.set()
    await asyncio.gather(*[call.future for call in slow])
    nice = await workers.submit(
        lambda: os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    ).future
    assert nice == os.getpriority(os.PRIO_PROCESS, 0)
    await workers.close()


async def test_busy_workers_refuse_in_time() -> None:
    workers = Workers("test", Lanes(quick=1, slow=1, wait_seconds=0.3))
    release = threading.Event()
    running = [workers.submit(release.wait) for _ in range(2)]
    await asyncio.sleep(0.2)
    late = workers.submit(lambda: 1)
    with pytest.raises(WorkersBusyError):
        await late.future
    assert await workers.submit(lambda: 2, urgent=True).future == 2
    release.set()
    await asyncio.gather(*[call.future for call in running])
    assert await workers.submit(lambda: 3).future == 3
    await workers.close()
