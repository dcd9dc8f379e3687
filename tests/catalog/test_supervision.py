"""The child dies and is replaced; nothing of it is left behind when we stop or die."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from proxy.catalog import Catalog, CatalogError, CatalogOptions
from proxy.catalog.cluster import PREFIX, EmbeddedServer
from tests.catalog.models import SHOP
from tests.catalog.support import ask, execute, rows_of
from tests.support.canary import slowness
from tests.support.waiting import until_async


def server_of(catalog: Catalog) -> EmbeddedServer:
    server = catalog._server
    assert isinstance(server, EmbeddedServer)
    return server


def kill_postmaster(catalog: Catalog) -> int:
    pid = server_of(catalog).process_id
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    return pid


async def public_oids(catalog: Catalog) -> list[tuple[str | None, ...]]:
    return await ask(catalog, "SELECT oid FROM pg_class WHERE relnamespace = 2200 ORDER BY 1")


async def test_killed_postmaster_is_not_noticed(catalog: Catalog) -> None:
    before = await public_oids(catalog)
    async with catalog.lease("demo", {"TimeZone": "Europe/Rome"}) as backend:
        assert await execute(backend, "SELECT 1") == [("1",)]
        old = kill_postmaster(catalog)
        await asyncio.sleep(0.05)
        rows = await execute(backend, "SELECT current_setting('TimeZone'), current_user")
        assert rows == [("Europe/Rome", "demo")]
    assert server_of(catalog).process_id != old
    assert await public_oids(catalog) == before
    answer = await catalog.analyse("SELECT amount FROM orders", (), {}, "demo")
    assert answer.columns == (("amount", 1700, 786438),)


async def test_statement_under_way_is_run_again(catalog: Catalog) -> None:
    async with catalog.lease("demo", {}) as backend:
        slow = asyncio.create_task(
            execute(backend, "SELECT count(*) FROM generate_series(1, 2000000)")
        )
        await asyncio.sleep(0.1)
        kill_postmaster(catalog)
        assert await slow == [("2000000",)]


async def test_rows_already_sent_are_not_sent_again(catalog: Catalog) -> None:
    async with catalog.lease("demo", {}) as backend:
        result = await backend.run(
            "SELECT repeat('x', 1000) FROM generate_series(1, 100000)", (), (), (), ()
        )
        await anext(aiter(result))
        kill_postmaster(catalog)
        with pytest.raises(CatalogError) as caught:
            await rows_of(result)
        assert caught.value.sqlstate == "08006"
    assert await ask(catalog, "SELECT 1") == [("1",)]


async def test_open_transaction_is_lost_with_an_error(catalog: Catalog) -> None:
    async with catalog.lease("demo", {}) as backend:
        await (await backend.run_simple("BEGIN")).drain()
        kill_postmaster(catalog)
        await asyncio.sleep(0.1)
        with pytest.raises(CatalogError) as caught:
            await backend.run_simple("SELECT 1")
        assert caught.value.sqlstate == "08006"
    assert await ask(catalog, "SELECT 1") == [("1",)]


async def test_killed_backend_restarts_the_cluster_by_itself(catalog: Catalog) -> None:
    async with catalog.lease("demo", {}) as one, catalog.lease("other", {}) as two:
        assert await execute(two, "SELECT 1") == [("1",)]
        (pid,) = (await execute(one, "SELECT catalog_backend_pid()"))[0]
        os.kill(int(pid or 0), signal.SIGKILL)
        await asyncio.sleep(0.05)
        assert await execute(one, "SELECT 1") == [("1",)]
        assert await execute(two, "SELECT 2") == [("2",)]
    for _ in range(5):
        await catalog.analyse("SELECT * FROM orders", (), {}, "demo")


@pytest.mark.parametrize("lost", ["data", "data/base", "."])
async def test_lost_data_are_made_anew(catalog: Catalog, lost: str) -> None:
    directory = Path(server_of(catalog).address.socket or "").parent
    shutil.rmtree(directory / lost)
    kill_postmaster(catalog)
    await asyncio.sleep(0.05)
    assert await ask(catalog, "SELECT obj_description('orders'::regclass)", user="late") == [
        ("Orders cube",)
    ]
    assert await ask(catalog, "SELECT current_user") == [("demo",)]
    with pytest.raises(CatalogError, match="routed to the catalog"):
        await ask(catalog, "SELECT * FROM orders")


async def test_deaths_under_load(catalog: Catalog) -> None:
    stop = time.monotonic() + 3.0
    done = 0

    async def client(number: int) -> None:
        nonlocal done
        while time.monotonic() < stop:
            assert await ask(catalog, f"SELECT {number}", user=f"u{number % 3}") == [(str(number),)]
            await catalog.analyse("SELECT status FROM orders WHERE id = $1", (), {}, "demo")
            done += 1
            await asyncio.sleep(0.005)

    clients = [asyncio.create_task(client(number)) for number in range(8)]
    while time.monotonic() < stop - 0.5:
        await asyncio.sleep(0.4)
        kill_postmaster(catalog)
    await asyncio.gather(*clients)
    assert done > 16


async def test_stop_removes_everything(templates: Path, tmp_path: Path) -> None:
    place = Path(f"/tmp/cw-{os.getpid()}")
    place.mkdir()
    place.chmod(0o755)
    try:
        running = Catalog(CatalogOptions(template_directory=templates, directory=place))
        await running.start()
        pid = server_of(running).process_id
        await running.close()
        assert list(place.iterdir()) == []
        with pytest.raises(ProcessLookupError):
            os.kill(pid or 0, 0)
        await running.close()
    finally:
        shutil.rmtree(place)


ORPHAN = """
import asyncio, sys
from pathlib import Path
from proxy.catalog import Catalog, CatalogOptions
async def main():
    options = CatalogOptions(template_directory=Path(sys.argv[1]), directory=Path(sys.argv[2]))
    catalog = Catalog(options)
    await catalog.start()
    print(catalog._server.process_id, flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""


async def test_child_dies_with_us_and_its_directory_is_swept(templates: Path) -> None:
    place = Path(f"/tmp/cwo-{os.getpid()}")
    place.mkdir()
    place.chmod(0o755)
    try:
        with subprocess.Popen(
            [sys.executable, "-c", ORPHAN, str(templates), str(place)], stdout=subprocess.PIPE
        ) as parent:
            assert parent.stdout is not None
            child = int(await asyncio.to_thread(parent.stdout.readline))
            parent.kill()
        await until_async(lambda: not Path(f"/proc/{child}").exists())
        (left,) = place.iterdir()
        assert left.name.startswith(PREFIX)
        running = Catalog(CatalogOptions(template_directory=templates, directory=place))
        await running.start()
        assert not left.exists()
        assert [path.name for path in place.iterdir()] != [left.name]
        other = Catalog(CatalogOptions(template_directory=templates, directory=place))
        await other.start()
        assert len(list(place.iterdir())) == 2
        await other.close()
        await running.close()
    finally:
        shutil.rmtree(place)


async def test_start_is_quick_and_small(templates: Path) -> None:
    warm = Catalog(CatalogOptions(template_directory=templates))
    await warm.start()
    await warm.close()
    catalog = Catalog(CatalogOptions(template_directory=templates))
    started = time.perf_counter()
    await catalog.start()
    await catalog.deploy(SHOP)
    taken = time.perf_counter() - started
    await catalog.close()
    assert taken < 2 * slowness()


async def test_no_place_for_a_template_is_no_error(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    catalog = Catalog(CatalogOptions(template_directory=blocked / "templates"))
    await catalog.start()
    assert await ask(catalog, "SELECT 1") == [("1",)]
    await catalog.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root changes users")
async def test_runs_as_another_user(catalog: Catalog) -> None:
    status = Path(f"/proc/{server_of(catalog).process_id}/status").read_text()
    uid = next(line.split()[1] for line in status.splitlines() if line.startswith("Uid:"))
    assert int(uid) != 0


async def test_errors_at_start(tmp_path: Path) -> None:
    with pytest.raises(CatalogError) as caught:
        await Catalog(CatalogOptions(binaries=tmp_path)).start()
    assert caught.value.sqlstate == "58P01"
    if os.geteuid() == 0:
        with pytest.raises(CatalogError, match="no operating-system user"):
            await Catalog(CatalogOptions(run_as="no-such-user")).start()
        with pytest.raises(CatalogError):
            await Catalog(CatalogOptions(directory=tmp_path / ("d" * 90))).start()


async def test_result_of_simple_statement_survives(catalog: Catalog) -> None:
    kill_postmaster(catalog)
    async with catalog.lease("demo", {"application_name": "x"}) as backend:
        assert await rows_of(await backend.run_simple("SHOW application_name")) == [("x",)]


async def test_templates_nobody_uses_are_removed(tmp_path: Path) -> None:
    old, young = tmp_path / "catalog-15.1-0", tmp_path / "catalog-16.1-0"
    for directory in (old, young):
        directory.mkdir()
    os.utime(old, (0, 0))
    catalog = Catalog(CatalogOptions(template_directory=tmp_path))
    await catalog.start()
    await catalog.close()
    assert not old.exists()
    assert young.exists()
    assert len(list(tmp_path.iterdir())) == 2
