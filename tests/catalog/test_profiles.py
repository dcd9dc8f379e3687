"""Catalogs of visibility profiles: made when used, stopped when others need their place."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from proxy.catalog import CatalogError, CatalogOptions
from proxy.catalog.backend import CatalogBackend
from proxy.catalog.face import CatalogFace
from proxy.catalog.profiles import ProfileCatalogs
from proxy.catalog.quota import PrivateQuota
from semantic.model.published import PublishedColumn, PublishedModel, PublishedRelation
from semantic.model.types import TEXT
from tests.catalog.models import SHOP
from tests.catalog.support import rows_of
from tests.support.canary import slowness
from tests.support.waiting import until_async

TABLES = (
    "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
)


def only(*names: str) -> PublishedModel:
    """Some of the shop's relations, without keys to those that are left out."""
    kept = [relation for relation in SHOP.relations if relation.name in names]
    assert len(kept) == len(names)
    return replace(SHOP, relations=tuple(replace(item, foreign_keys=()) for item in kept))


@pytest.fixture
def place() -> Iterator[Path]:
    """Where the clusters are made: a path that is short enough for a socket."""
    folder = Path(tempfile.mkdtemp(prefix="cw-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    left = list(folder.iterdir())
    shutil.rmtree(folder)
    assert not left


@pytest.fixture
async def profiles(templates: Path, place: Path) -> AsyncIterator[ProfileCatalogs]:
    options = CatalogOptions(template_directory=templates, directory=place, lease_timeout=1.0)
    running = ProfileCatalogs(options, 2, PrivateQuota(2), spare=False)
    try:
        yield running
    finally:
        await running.close()


async def tables(catalog: CatalogFace, user: str = "demo") -> list[str | None]:
    async with catalog.lease(user, {}) as backend:
        return sorted(name for (name,) in await run(backend, TABLES))


async def run(backend: CatalogBackend, sql: str) -> list[tuple[str | None, ...]]:
    return await rows_of(await backend.run(sql, (), (), (), ()))


def clusters(place: Path) -> int:
    return len(list(place.iterdir()))


async def settle(place: Path, number: int) -> None:
    """Wait until there are so many clusters: those that are being stopped go."""
    await until_async(lambda: clusters(place) == number)


async def test_shows_its_relations_alone_and_nothing_runs_before_it_is_used(
    profiles: ProfileCatalogs, place: Path
) -> None:
    orders = profiles.of("o", only("orders"))
    assert (profiles.live, clusters(place)) == (0, 0)
    assert await tables(orders) == ["orders"]
    assert (profiles.live, clusters(place)) == (1, 1)
    assert profiles.of("o", only("orders")) is orders
    with pytest.raises(CatalogError) as hidden:
        await orders.analyse("SELECT * FROM customers", (), {}, "demo")
    with pytest.raises(CatalogError) as absent:
        await orders.analyse("SELECT * FROM costumers", (), {}, "demo")
    assert hidden.value.sqlstate == absent.value.sqlstate == "42P01"
    assert hidden.value.message.replace("customers", "costumers") == absent.value.message
    async with orders.lease("demo", {}) as backend:
        assert await run(backend, "SELECT current_database(), current_user") == [
            ("cubewire", "demo")
        ]


async def test_many_first_uses_start_it_once(profiles: ProfileCatalogs, place: Path) -> None:
    orders = profiles.of("o", only("orders"))
    found = await asyncio.gather(*(tables(orders, f"u{number % 3}") for number in range(10)))
    assert found == [["orders"]] * 10
    assert (profiles.live, clusters(place)) == (1, 1)


async def test_the_longest_unused_is_stopped_and_comes_back(
    profiles: ProfileCatalogs, place: Path
) -> None:
    one, two = profiles.of("o", only("orders")), profiles.of("c", only("customers"))
    three = profiles.of("oc", only("orders", "customers"))
    assert await tables(one) == ["orders"]
    assert await tables(two) == ["customers"]
    assert await tables(one) == ["orders"]
    assert await tables(three) == ["customers", "orders"]
    assert (two.may_stop, one.may_stop) == (False, True)  # two has stopped
    await settle(place, 2)
    assert await tables(two) == ["customers"]
    assert (one.may_stop, profiles.live) == (False, 2)
    await settle(place, 2)
    one_by_one = await asyncio.gather(*(tables(each) for each in (one, two, three) * 2))
    assert one_by_one == [["orders"], ["customers"], ["customers", "orders"]] * 2


async def test_one_in_use_is_not_stopped(profiles: ProfileCatalogs) -> None:
    one, two = profiles.of("o", only("orders")), profiles.of("c", only("customers"))
    three = profiles.of("oc", only("orders", "customers"))
    private = await two.open_private("demo", 1)
    async with one.lease("demo", {}) as backend:
        result = await backend.run("SELECT generate_series(1, 100000)", (), (), (), ())
        await anext(aiter(result))
        with pytest.raises(CatalogError, match="more than 2 groups") as caught:
            await tables(three)
        assert caught.value.sqlstate == "53300"
        rest = await rows_of(result)
        assert rest[-1] == ("100000",)
    assert await private.command("SELECT 1") == [("1",)]
    assert await tables(three) == ["customers", "orders"]
    assert await private.command("SELECT 2") == [("2",)]
    private.close()


async def test_waits_for_a_place(profiles: ProfileCatalogs) -> None:
    one, two = profiles.of("o", only("orders")), profiles.of("c", only("customers"))
    three = profiles.of("oc", only("orders", "customers"))
    private = await two.open_private("demo", 1)
    async with one.lease("demo", {}):
        waiting = asyncio.create_task(tables(three))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        private.close()
        assert await waiting == ["customers", "orders"]


async def test_one_that_cannot_start_is_a_clear_error_and_no_other_feels_it(
    profiles: ProfileCatalogs, templates: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = profiles.of("o", only("orders")), profiles.of("c", only("customers"))
    assert await tables(one) == ["orders"]
    with monkeypatch.context() as patch:
        patch.setattr("proxy.catalog.cluster.make_data_directory", failing)
        first, second = await asyncio.gather(tables(two), tables(two), return_exceptions=True)
        for error in (first, second):
            assert isinstance(error, CatalogError)
            assert (error.sqlstate, error.message) == ("57P03", "the catalog could not be started")
        assert await tables(one) == ["orders"]
        assert (profiles.live, clusters(place)) == (1, 1)
    assert await tables(two) == ["customers"]


async def failing(*_: object) -> None:
    raise OSError("no space left on device")


async def test_a_waiter_that_gives_up_stops_nobody(profiles: ProfileCatalogs) -> None:
    orders = profiles.of("o", only("orders"))
    leaving, staying = asyncio.create_task(tables(orders)), asyncio.create_task(tables(orders))
    await asyncio.sleep(0.05)
    leaving.cancel()
    assert await staying == ["orders"]
    assert leaving.cancelled()
    assert orders.may_stop


async def test_a_spare_one_waits_for_the_next_profile(templates: Path, place: Path) -> None:
    options = CatalogOptions(template_directory=templates, directory=place)
    profiles = ProfileCatalogs(options, 2, PrivateQuota(2))
    assert await tables(profiles.of("o", only("orders"))) == ["orders"]
    await settle(place, 2)
    waiting = set(place.iterdir())
    assert await tables(profiles.of("c", only("customers"))) == ["customers"]
    await settle(place, 3)
    assert waiting < set(place.iterdir())  # the second profile has made no cluster of its own
    await profiles.close()


async def test_as_many_as_may_live_take_less_than_600_mb_and_a_new_one_half_a_second(
    templates: Path, place: Path
) -> None:
    options = CatalogOptions(template_directory=templates, directory=place)
    profiles = ProfileCatalogs(options, 32, PrivateQuota(2))
    kept, seconds = [], []
    for number in range(4):
        kept.append(profiles.of(str(number), large(number)))
        began = time.perf_counter()
        assert len(await tables(kept[-1])) == 50
        seconds.append(time.perf_counter() - began)
        await settle(place, number + 2)
        await asyncio.sleep(0.3)  # the spare one has started
    used = proportional_set_size(place)
    await profiles.close()
    assert used / 5 * 33 < 600 * 1024
    if slowness() == 1:  # a busy machine says nothing of this
        assert min(seconds[1:]) < 0.5


def large(hidden: int) -> PublishedModel:
    """50 cubes of 61 columns, one of them without one column."""
    names = [f"column_{number}" for number in range(61)]
    cubes = [
        PublishedRelation(
            f"cube_{number}",
            "cube",
            tuple(
                PublishedColumn(name, TEXT, "dimension", f"[dimension] {name}")
                for name in names
                if number or name != names[hidden]
            ),
        )
        for number in range(50)
    ]
    return PublishedModel("large", tuple(cubes))


def proportional_set_size(place: Path) -> int:
    """KiB of all processes of the clusters in a folder: what is shared counts by its parts."""
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            parents.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found = 0
    below = [child for child in parents.get(os.getpid(), ()) if str(place) in command_of(child)]
    while below:
        process = below.pop()
        below += parents.get(process, ())
        with contextlib.suppress(OSError):
            text = Path(f"/proc/{process}/smaps_rollup").read_text()
            found += int(text.partition("\nPss:")[2].split()[0])
    return found


def command_of(process: int) -> str:
    try:
        return Path(f"/proc/{process}/cmdline").read_text()
    except OSError:
        return ""
