"""The parts of the cache, with clocks and warehouses of the test's own."""

from __future__ import annotations

import asyncio
import doctest
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from connectors.base import Parameter
from connectors.errors import WarehouseError
from proxy.cache import keys, schedule, stored
from proxy.cache.breaker import Breaker, UnavailableError
from proxy.cache.freshness import FOREVER, TimesToLive
from proxy.cache.generations import ALL, Generations
from proxy.cache.keys import form_of, is_volatile, statement_key
from proxy.cache.memory import MemoryStore
from proxy.cache.results import Found, NotCachedError, Request, ResultCache
from proxy.rows.encoded import EncodedRows, rows_from_messages
from proxy.rows.settings import TextSettings

ROW = b"D\x00\x00\x00\x0a\x00\x00abcd"


def rows(count: int = 1) -> EncodedRows:
    return rows_from_messages(ROW * count, count)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


# ------------------------------------------------------------------------------- keys


@pytest.mark.parametrize("module", [keys, schedule])
def test_examples(module: Any) -> None:
    assert doctest.testmod(module).failed == 0


def test_every_part_is_in_the_key() -> None:
    usual: dict[str, Any] = {
        "data_source": "default",
        "sql": "SELECT 1",
        "parameters": (Parameter("int8", 1),),
        "time_zone": "UTC",
        "identity": "",
        "versions": b"1",
    }
    others: dict[str, tuple[Any, ...]] = {
        "data_source": ("other",),
        "sql": ("SELECT 2",),
        "parameters": (
            (),
            (Parameter("int4", 1),),
            (Parameter("int8", 2),),
            (Parameter("int8", None),),
            (Parameter("text", "1"),),
            (Parameter("text", "None"),),
            (Parameter("numeric", Decimal("1.0")),),
            (Parameter("numeric", Decimal("1.00")),),
            (Parameter("float8", 0.0),),
            (Parameter("float8", -0.0),),
            (Parameter("bool", True),),
            (Parameter("bool", value=1),),
            (Parameter("_int8", [1, 2]),),
            (Parameter("_int8", [[1], [2]]),),
            (Parameter("int8", 1), Parameter("int8", 1)),
        ),
        "time_zone": ("Europe/Rome",),
        "identity": ("ann",),
        "versions": (b"2",),
    }
    variants = [{**usual, name: value} for name, values in others.items() for value in values]
    found = {statement_key(**variant) for variant in [usual, *variants]}
    assert len(found) == len(variants) + 1
    assert statement_key(**usual) in found


def test_a_value_of_an_unknown_type_is_not_guessed_at() -> None:
    with pytest.raises(keys.UncacheableValueError):
        statement_key("s", "", (Parameter("x", object()),), "UTC", "", b"")


def test_settings_count_where_they_change_a_text() -> None:
    german = TextSettings(date_style="German, DMY", extra_float_digits=0)
    plain = TextSettings()
    assert form_of(["int4"], [0], german) == form_of(["int4"], [0], plain)
    assert form_of(["date"], [0], german) != form_of(["date"], [0], plain)
    assert form_of(["_float8"], [0], german) != form_of(["_float8"], [0], plain)
    assert form_of(["_float8"], [0], TextSettings(extra_float_digits=3)) == form_of(
        ["_float8"], [0], plain
    )
    assert form_of(["date"], [1], german) == form_of(["date"], [1], plain)
    assert form_of(["date"], [0], plain) != form_of(["date"], [1], plain)


@pytest.mark.parametrize(
    ("sql", "volatile"),
    [
        ("SELECT now()", True),
        ("SELECT CURRENT_TIMESTAMP", True),
        ("SELECT pg_catalog.random ()", True),
        ("SELECT CAST('now' AS TIMESTAMP)", True),
        ("SELECT x FROM t TABLESAMPLE SYSTEM (1)", True),
        ("SELECT \"now\" FROM t WHERE a = 'random()'", False),
        ("SELECT t.current_date FROM t", False),
        ("SELECT renowned(1), brand", False),
    ],
)
def test_volatile(sql: str, volatile: bool) -> None:
    assert is_volatile(sql) is volatile


# ------------------------------------------------------------------------------- memory


def test_memory_is_bounded_and_least_recently_used_goes() -> None:
    store = MemoryStore(6_500)
    for name in (b"a", b"b", b"c"):
        store.put((name, b""), [rows(60)], 0.0, (name.decode(),))
    assert len(store) == 3
    first = store.get((b"a", b""))
    store.put((b"d", b""), [rows(60)], 0.0, ("d",))
    assert store.get((b"b", b"")) is None
    assert store.get((b"a", b"")) is first
    assert store.used <= 6_500
    assert store.evictions == 1
    assert store.put((b"e", b""), [rows(1000)], 0.0, ()) is None
    store.discard(frozenset({"a"}))
    assert first is not None
    assert not first.alive
    store.discard(None)
    assert (len(store), store.used) == (0, 0)


def test_roles() -> None:
    times = TimesToLive(by_role={"hasty": 1, "never": 0})
    assert times.of_caller(["hasty", "other"]) == 1
    assert times.of_caller(["hasty", "never"]) == 0
    assert times.of_caller(["other"]) == FOREVER


def test_marks() -> None:
    marks = Generations()
    assert not marks.are_shared
    assert marks.adopt({ALL: "1"}) == frozenset()
    before = marks.token(["a"]), marks.token(["b"])
    marks.invalidate(["a"])
    assert marks.token(["a"]) != before[0]
    assert marks.token(["b"]) == before[1]
    assert marks.adopt({ALL: "1", "b": "2"}) == {"b"}
    assert marks.token(["b"]) != before[1]
    marks.unshared.add("b")
    assert not marks.are_shared


# ------------------------------------------------------------------------------- results


class Source:
    """Chunks of rows, or an error in their place; ``gate`` holds back what follows the first."""

    def __init__(self, items: Sequence[EncodedRows | Exception]) -> None:
        self.items = list(items)
        self.gate = asyncio.Event()
        self.closed = False
        self.given = 0

    async def next_rows(self) -> EncodedRows | None:
        if self.given:
            await self.gate.wait()
        if self.given == len(self.items):
            return None
        item = self.items[self.given]
        self.given += 1
        if isinstance(item, Exception):
            raise item
        return item

    async def close(self) -> None:
        self.closed = True


class Desk:
    """A cache, and statements whose runs are counted."""

    def __init__(self, stale: float = 0.0, limit: int = 100_000) -> None:
        self.clock = Clock()
        self.cache = ResultCache(MemoryStore(200_000), limit, stale, clock=self.clock)
        self.runs: list[Source] = []
        self.items: list[EncodedRows | Exception] = [rows(), rows()]
        self.is_open = True

    def request(self, lifetime: float = 60, timeout: float | None = None) -> Request:
        async def run(_seen: object) -> Source:
            source = Source(self.items)
            if self.is_open:
                source.gate.set()
            self.runs.append(source)
            return source

        return Request(b"k", b"k", b"", ("c",), lifetime, FOREVER, run, None, timeout)

    async def ask(self, mode: Any = "on", **about: Any) -> tuple[str, int]:
        found = await self.cache.open(self.request(**about), mode)
        return found.outcome, await count(found)


async def count(found: Found) -> int:
    total = 0
    while (chunk := await found.source.next_rows()) is not None:
        total += chunk.rows
    await found.source.close()
    return total


async def test_hit_until_it_is_old() -> None:
    desk = Desk()
    assert await desk.ask() == ("miss", 2)
    desk.clock.now += 59
    assert await desk.ask() == ("memory", 2)
    assert await desk.ask(lifetime=10) == ("miss", 2)  # somebody with a shorter time
    desk.clock.now += 60
    assert await desk.ask() == ("miss", 2)
    assert len(desk.runs) == 3


async def test_the_systems_clock_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk()
    await desk.ask()
    for seconds in (-7200.0, 7200.0):
        monkeypatch.setattr("time.time", lambda seconds=seconds: seconds)
        assert await desk.ask() == ("memory", 2)
    desk.clock.now += 61
    assert await desk.ask() == ("miss", 2)


async def test_stale_while_revalidate() -> None:
    desk = Desk(stale=30)
    await desk.ask()
    desk.clock.now += 70
    assert await desk.ask() == ("stale", 2)
    for _ in range(5):
        await asyncio.sleep(0)
    assert len(desk.runs) == 2
    assert await desk.ask() == ("memory", 2)
    desk.clock.now += 91
    assert await desk.ask() == ("miss", 2)


async def test_an_old_result_survives_a_renewal_that_fails() -> None:
    desk = Desk(stale=30)
    await desk.ask()
    desk.items = [WarehouseError("08006", "away")]
    desk.clock.now += 70
    for _ in range(3):
        assert await desk.ask() == ("stale", 2)
        await asyncio.sleep(0.01)


async def test_callers_at_once() -> None:
    desk = Desk()
    desk.is_open = False
    asking = [asyncio.create_task(desk.ask()) for _ in range(5)]
    await asyncio.sleep(0.01)
    desk.runs[0].gate.set()
    outcomes = await asyncio.gather(*asking)
    assert outcomes == [("miss", 2), *[("joined", 2)] * 4]
    assert len(desk.runs) == 1


async def test_the_leader_leaves_and_the_others_stay() -> None:
    desk = Desk()
    desk.is_open = False
    leader = await desk.cache.open(desk.request(), "on")
    follower = asyncio.create_task(desk.ask())
    await asyncio.sleep(0.01)
    await leader.source.close()
    desk.runs[0].gate.set()
    assert await follower == ("joined", 2)


async def test_all_leave_and_the_run_ends() -> None:
    desk = Desk()
    desk.is_open = False
    leader = await desk.cache.open(desk.request(), "on")
    follower = asyncio.create_task(desk.ask())
    await asyncio.sleep(0.01)
    follower.cancel()
    await leader.source.close()
    await asyncio.sleep(0.01)
    assert desk.runs[0].closed
    desk.is_open = True
    assert await desk.ask() == ("miss", 2)


async def test_an_error_of_the_statement_is_everybodys_and_kept_by_nobody() -> None:
    desk = Desk()
    desk.is_open = False
    desk.items = [rows(), WarehouseError("22012", "division by zero")]
    asking = [asyncio.create_task(desk.ask()) for _ in range(3)]
    await asyncio.sleep(0.01)
    desk.runs[0].gate.set()
    for error in await asyncio.gather(*asking, return_exceptions=True):
        assert isinstance(error, WarehouseError)
    assert (len(desk.runs), len(desk.cache.memory)) == (1, 0)


async def test_an_error_of_the_leaders_is_its_own() -> None:
    desk = Desk()
    desk.is_open = False
    desk.items = [rows(), WarehouseError("57014", "timeout")]
    asking = [asyncio.create_task(desk.ask()) for _ in range(3)]
    await asyncio.sleep(0.01)
    desk.items, desk.is_open = [rows()], True
    desk.runs[0].gate.set()
    first, *others = await asyncio.gather(*asking, return_exceptions=True)
    assert isinstance(first, WarehouseError)
    assert sorted(others) == [("joined", 1), ("miss", 1)]  # type: ignore[type-var]


async def test_who_waits_has_a_timeout_of_its_own() -> None:
    desk = Desk()
    desk.is_open = False
    leader = await desk.cache.open(desk.request(), "on")
    with pytest.raises(WarehouseError, match="statement timeout"):
        await desk.ask(timeout=0.02)
    desk.runs[0].gate.set()
    assert await count(leader) == 2


async def test_what_is_too_large_is_run_by_each() -> None:
    desk = Desk(limit=500)
    desk.is_open = False
    desk.items = [rows(10), rows(10), rows(10)]
    asking = [asyncio.create_task(desk.ask()) for _ in range(2)]
    await asyncio.sleep(0.01)
    desk.is_open = True
    desk.runs[0].gate.set()
    assert await asyncio.gather(*asking) == [("miss", 30), ("miss", 30)]
    assert await desk.ask() == ("miss", 30)
    assert len(desk.runs) == 3
    assert all(run.closed for run in desk.runs)
    assert len(desk.cache.memory) == 0
    assert desk.cache._room.used == 0


async def test_modes() -> None:
    desk = Desk()
    with pytest.raises(NotCachedError):
        await desk.ask("only")
    await desk.ask()
    assert await desk.ask("only") == ("memory", 2)
    assert await desk.ask("refresh") == ("miss", 2)
    assert len(desk.runs) == 2


# ------------------------------------------------------------------------------- Redis


def test_stored_forms() -> None:
    batch = pa.record_batch({"n": list(range(5000)), "t": ["x" * (n % 50) for n in range(5000)]})
    assert list(stored.unpack_batches(stored.pack_batches([batch, batch]))) == [batch, batch]
    again = stored.unpack_rows(stored.pack_rows([rows(3), rows(4)]))
    assert (bytes(again.data), again.rows) == (ROW * 7, 7)
    written = stored.pack_written([rows(3), rows(4)], b"form")
    again = stored.unpack_written(written, b"form")
    assert again is not None
    assert (bytes(again.data), again.rows) == (ROW * 7, 7)
    for form in (b"", b"for", b"form2", b"norm", written):
        assert stored.unpack_written(written, form) is None
    assert stored.unpack_written(b"", b"") is None
    assert stored.pack_written([rows(1000)], b"form") == b""
    with pytest.raises(stored.DamagedError):
        stored.unpack_written(b"abc", b"form")


def test_a_checksum_is_of_content_key_and_place() -> None:
    secret, key, nonce = b"s" * 32, b"k", stored.new_nonce()
    head = stored.Head(stored.ARROW, 2, 1000, nonce, b"first", b"written")
    packed = stored.pack_head(head, key, secret)
    assert stored.unpack_head(packed, key, secret) == head
    chunk = stored.pack_chunk(b"data", key, nonce, 1, secret)
    assert stored.unpack_chunk(chunk, key, nonce, 1, secret) == b"data"
    wrong: list[Any] = [
        lambda: stored.unpack_head(packed, b"other", secret),
        lambda: stored.unpack_head(packed, key, b"t" * 32),
        lambda: stored.unpack_head(packed[:-1] + b"x", key, secret),
        lambda: stored.unpack_head(b"", key, secret),
        lambda: stored.unpack_chunk(chunk, key, nonce, 2, secret),
        lambda: stored.unpack_chunk(chunk, key, stored.new_nonce(), 1, secret),
        lambda: stored.unpack_chunk(packed, key, nonce, 1, secret),
    ]
    for each in wrong:
        with pytest.raises(stored.DamagedError):
            each()


async def test_a_connection_lost_beneath_the_client_is_no_fault_of_ours() -> None:
    """As uvloop tells of it, and the client passes it on."""

    async def lost() -> None:
        raise RuntimeError("unable to perform operation on <TCPTransport>; the handler is closed")

    with pytest.raises(UnavailableError):
        await Breaker(1.0).probe(lost)


async def test_breaker() -> None:
    breaker = Breaker(0.02)
    calls = 0

    async def hang() -> None:
        nonlocal calls
        calls += 1
        await asyncio.sleep(60)

    async def answer() -> int:
        return 1

    for _ in range(5):
        with pytest.raises(UnavailableError):
            await breaker.call(hang)
    assert calls == 2
    with pytest.raises(UnavailableError):
        await breaker.call(answer)
    assert await breaker.probe(answer) == 1
    assert await breaker.call(answer) == 1
