"""The result cache: tiny results by the number of clients, and large ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tests.bench import client
from tests.bench.data import KEPT
from tests.bench.measures.throughput import CLIENTS, MOST_ROUNDS, STATEMENT, load_requests
from tests.bench.pace import Pace, compare, run
from tests.bench.results import Figure
from tests.bench.targets import CUBEWIRE, PGBOUNCER, POSTGRES, Field, Target

_KEPT = "SELECT status, country, amount FROM orders_kept"
PROBES = 2000


def hits(field: Field, pace: Pace) -> Iterator[Figure]:
    """Queries per second whose results are in memory, beside PostgreSQL and pgbouncer."""
    targets = field.in_turn(POSTGRES, PGBOUNCER, CUBEWIRE)
    pace = replace(pace, rounds=min(pace.rounds, MOST_ROUNDS))
    protocols = {
        "simple": ("", client.simple(_KEPT)),
        "extended": ("", client.whole(_KEPT)),
        "prepared": (_KEPT, client.execute(STATEMENT)),
    }
    for name, (prepared, request) in protocols.items():
        for clients in CLIENTS:

            def once(target: Target) -> float:
                return run(
                    load_requests(target, prepared, request, KEPT, clients, pace.seconds)  # noqa: B023
                )

            case = f"hit, {name}, {clients} client{'s' * (clients > 1)}"
            figures = list(compare("cache", case, "q/s", pace, targets, once))
            yield from figures
            yield from _beside_pgbouncer(case, figures)


def _beside_pgbouncer(case: str, figures: list[Figure]) -> Iterator[Figure]:
    values = {figure.target: figure.value for figure in figures}
    ours, other = values.get(CUBEWIRE), values.get(PGBOUNCER)
    if ours and other:
        yield Figure("cache", f"{case}, to pgbouncer", CUBEWIRE, ours / other, "times")
