"""Builds that are killed at every step, each in a forked process, and what they leave.

Run as a program, because a process that forks must not have threads: ``python -m
tests.rollups_store.victims KIND FOLDER DSN``. Prints one JSON object a step.
"""

from __future__ import annotations

import asyncio
import functools
import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import asyncpg
import pyarrow.parquet as pq

from connectors.bucket import Bucket
from tests.rollups_store.support import BUCKET, PARQUET
from tests.rollups_store.world import DEFINITION, World, open_world

ONE = replace(DEFINITION, partition=None)
STEPS: dict[str, tuple[tuple[Any, str], ...]] = {
    PARQUET: (
        (os, "fsync"),
        (Path, "open"),
        (Path, "rename"),
        (Path, "replace"),
        (Path, "unlink"),
        (pq.ParquetWriter, "write_table"),
        (pq.ParquetWriter, "close"),
    ),
    BUCKET: (
        (os, "fsync"),
        (Path, "open"),
        (Path, "rename"),
        (pq.ParquetWriter, "write_table"),
        (Bucket, "create"),
        (Bucket, "read"),
        (Bucket, "upload"),
        (Bucket, "list"),
        (Bucket, "delete"),
    ),
    "postgres": (
        (asyncpg.Connection, "execute"),
        (asyncpg.Connection, "fetchval"),
        (asyncpg.Connection, "fetchrow"),
        (asyncpg.Connection, "fetch"),
    ),
}
"""What a build does that could be its last."""


class Death:
    """Kills this process at one of its steps."""

    def __init__(self, step: int) -> None:
        self._left = step

    def tick(self) -> None:
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def before(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """A step: what comes after one is what comes before the next."""

        @functools.wraps(function)
        def called(*args: Any, **options: Any) -> Any:
            self.tick()
            return function(*args, **options)

        return called


async def look_and_build(
    kind: str, folder: Path, dsn: str, step: int, factor: int, told: Callable[[object], None]
) -> None:
    """Tell what the one before has left, build once more, and die at a step; 0: live."""
    async with open_world(kind, folder, SimpleNamespace(dsn=dsn), fresh=False) as world:  # type: ignore[arg-type]
        # Before the first there is nothing to look at.
        told({} if factor == 1 else await look(world, folder))
        if factor == 0:
            return
        world.compiler.factor = str(factor)
        builder = world.builder(ONE)
        plan = await builder.plan(ONE, force=True)
        if step:
            death = Death(step)
            for owner, name in STEPS[kind]:
                setattr(owner, name, death.before(getattr(owner, name)))
        await builder.run(plan)
        await world.store.collect(0.0)


async def look(world: World, folder: Path) -> dict[str, object]:
    """What is there, and what is left over once everything has been collected."""
    total = await world.total()
    await world.store.collect(0.0)
    if world.kind == BUCKET:
        # What nobody names goes when it is old enough: see the tests of buckets.
        left = ["the one that is named"]
    elif world.kind == PARQUET:
        rollups = folder / "rollups"
        left = [each.name for each in rollups.iterdir() if each.suffix in (".parquet", ".building")]
    else:
        found = await world.connector.execute(
            "SELECT relname::text AS n FROM pg_class WHERE relkind = 'r' AND relname <> 'stored'"
            " AND relnamespace = 'stored_for_tests'::regnamespace"
        )
        left = [name async for batch in found for name in batch.column(0).to_pylist()]
    return {"total": total, "tables": len(await world.store.read()), "left": len(left)}


def in_child(work: Callable[[Callable[[object], None]], Any]) -> tuple[int, list[Any]]:
    """Run in a forked process; its status, and what it told before its end."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)

        def told(value: object) -> None:
            os.write(write, json.dumps(value).encode() + b"\n")

        code = 1
        try:
            asyncio.run(work(told))
            code = 0
        except BaseException as error:  # noqa: BLE001 - a child must not return
            told(repr(error))
        os._exit(code)
    os.close(write)
    with os.fdopen(read) as pipe:
        lines = [json.loads(line) for line in pipe]
    return os.waitpid(child, 0)[1], lines


def main(kind: str, folder: Path, dsn: str) -> None:
    """Each child tells what the one before has left, so that one process a step will do."""

    def run(step: int, factor: int) -> tuple[bool, dict[str, Any]]:
        status, told = in_child(lambda tell: look_and_build(kind, folder, dsn, step, factor, tell))
        killed = os.WIFSIGNALED(status)
        assert killed or status == 0, told
        return killed, told[0]

    run(0, 1)
    killed, _ = run(1, 2)
    for step in range(2, 200):
        # A factor of 0 builds nothing: the last one only looks.
        again, seen = run(step, step + 1 if killed else 0)
        print(json.dumps({"step": step - 1, "killed": killed, **seen}), flush=True)
        if not killed:
            return
        killed = again


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
