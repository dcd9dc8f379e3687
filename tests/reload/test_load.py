"""Replacing the model under load: every answer is of one version, and no session ends."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest

from tests.reload.world import TOTAL, World, model, until, value
from tests.soak.soak import own_memory, trend

RELOADS = int(os.environ.get("RELOADS", "36"))
"""Half of them of broken models."""
CLIENTS = 8
GROWTH = 40_000_000
"""Bytes that the trend may rise by: caches are being filled."""
FLAT = 15_000_000
"""The same for a run of a minute."""
LONG = 100
SAMPLED = 3
"""One look at memory in so many reloads: it takes time of its own."""

STATEMENTS = (
    "SELECT tag, MEASURE(total) FROM things GROUP BY 1",
    "SELECT tag, MEASURE(total), count(odd) FROM things GROUP BY 1",
    "SELECT tag, MEASURE(total), count(even) FROM things GROUP BY 1",
    "SELECT t.tag, sum(t.id * 0) + max(t.id) FROM things t WHERE t.id = 100 GROUP BY 1",
    "SELECT count(*) FROM information_schema.columns WHERE table_name = 'things'",
    "SELECT count(*) FROM sometimes",
)
RETYPED = "SELECT pick, tag FROM things WHERE id = 1"
"""Its column has another type in each version, for which a named prepared statement fails."""
REFUSED = 'cubewire_model_reloads_total{result="refused"}'
ABSENT = {"odd": "42703", "even": "42703", "sometimes": "42P01"}


@dataclass(slots=True)
class Load:
    """What the clients have seen."""

    world: World
    stopped: threading.Event = field(default_factory=threading.Event)
    answers: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def run(self, number: int) -> None:
        extended = number % 2 == 0
        factory: Any = psycopg.Cursor if extended else psycopg.ClientCursor
        with self.world.connect(cursor_factory=factory) as connection:
            turn, named = number, extended and number % 4 == 0
            texts = STATEMENTS if named else (*STATEMENTS, RETYPED)
            while not self.stopped.is_set():
                turn += 1
                text = texts[turn % len(texts)]
                try:
                    found = connection.execute(text.encode(), prepare=named).fetchall()
                except psycopg.Error as error:
                    allowed = [code for name, code in ABSENT.items() if name in text]
                    if error.sqlstate not in allowed:
                        self.faults.append(f"{error.sqlstate} {error}: {text}")
                    self.answers[str(error.sqlstate)] += 1
                else:
                    self._judge(text, found)

    def _judge(self, text: str, found: list[tuple[Any, ...]]) -> None:
        if "MEASURE" in text:
            tag, total = found[0][:2]
            if len(found) != 1 or total != int(tag[1:]) * TOTAL:
                self.faults.append(f"mixed: {found}")
            if ("odd" in text) != (int(tag[1:]) % 2 == 1) and ABSENT.keys() & set(
                text.replace("(", " ").replace(")", " ").split()
            ):
                self.faults.append(f"a column of another version: {found}: {text}")
            self.answers[tag] += 1
        elif text == RETYPED:
            picked, tag = found[0]
            if picked != (int(tag[1:]) if int(tag[1:]) % 2 else tag):
                self.faults.append(f"mixed: {found}")
        elif "sometimes" in text and found != [(100,)]:
            self.faults.append(f"{found}: {text}")


def version(number: int) -> dict[str, Any]:
    """Odd and even ones have a column each that the other has not; every third a cube more."""
    made = model(number, "odd" if number % 2 else "even")
    if number % 3 == 0:
        made["cubes"].append({**made["cubes"][1], "name": "sometimes"})
    return made


@pytest.mark.timeout(60 + 5 * RELOADS)
def test_replacing_under_load(world: World) -> None:
    load = Load(world)
    watching = world.connect()
    world.serve(version(1001), watching)
    threads = [threading.Thread(target=load.run, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    sizes: list[tuple[float, int]] = []
    began = time.monotonic()
    try:
        for number in range(RELOADS):
            if number % 2:
                refused = world.metric(REFUSED)
                world.write("cubes: [{name: things, sql_table: " + "x" * number)
                until(lambda before=refused: world.metric(REFUSED) > before)  # type: ignore[misc]
            else:
                world.serve(version(2 + number // 2), watching)
            if number % SAMPLED == 0:
                sizes.append((time.monotonic() - began, own_memory(world.running.pid)))
    finally:
        load.stopped.set()
        for thread in threads:
            thread.join()
    print(
        f"{RELOADS} reloads in {sizes[-1][0]:.0f} s, {sum(load.answers.values())} answers, "
        f"memory {sizes[len(sizes) // 2][1] / 1e6:.0f} to {sizes[-1][1] / 1e6:.0f} MB, "
        f"trend {trend(sizes) / 1e6:+.1f} MB"
    )
    assert not load.faults, load.faults[:5]
    assert len([tag for tag in load.answers if tag.startswith("v")]) > RELOADS // 4
    assert value(watching, "SELECT max(tag) FROM things") == f"v{2 + (RELOADS - 1) // 2}"
    assert trend(sizes) < (FLAT if RELOADS >= LONG else GROWTH)
