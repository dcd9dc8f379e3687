"""Thousands of random statements: ``python -m tests.oracle.campaign`` shows what goes wrong."""

from __future__ import annotations

import argparse
import random
import re
import tempfile
import time
from pathlib import Path

from tests.conftest import free_port
from tests.oracle.harness import laboratory
from tests.oracle.statements import Case, Statements
from tests.oracle.warehouses import MARIADB, WAREHOUSES
from tests.support.mariadb import is_installed
from tests.support.oracle import start_oracle


class RandomChooser:
    """Choices of a seeded generator."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def integer(self, low: int, high: int) -> int:
        return self._random.randint(low, high)


def kind_of(problem: str) -> str:
    """Problems that are probably one."""
    return re.sub(r"\d+|'[^']*'|\"[^\"]*\"", "#", problem)[:60]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--examples", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--each", type=int, default=2, help="shown of each kind of problem")
    parser.add_argument("--refusals", type=int, default=10, help="messages of refusals shown")
    parser.add_argument(
        "--warehouses",
        nargs="+",
        default=["duckdb", "postgres"],
        choices=WAREHOUSES,
    )
    given = parser.parse_args()
    if MARIADB in given.warehouses and not is_installed():
        print("mariadb-server is not installed")
        return
    oracle = start_oracle(free_port())
    counts: dict[str, int] = {}
    kinds: dict[str, list[tuple[Case, str, int]]] = {}
    started = time.monotonic()
    try:
        with (
            tempfile.TemporaryDirectory() as folder,
            laboratory(oracle, Path(folder), given.warehouses) as lab,
        ):
            for seed in range(given.seed, given.seed + given.examples):
                case = Statements(RandomChooser(seed)).case()
                problem = lab.problem(case, counts)
                if problem:
                    kinds.setdefault(kind_of(problem), []).append((case, problem, seed))
    finally:
        oracle.stop()
    for found in sorted(kinds.values(), key=len):
        found.sort(key=lambda each: len(each[0].ours))
        for case, problem, seed in found[: given.each]:
            print(f"--- {len(found)} times, seed {seed}", case.ours, case.plain, sep="\n")
            print(case.values, case.zone, problem[:700], sep="\n")
    for message, times in lab.refusals.most_common(given.refusals):
        print(f"refused {times} times: {message}")
    print(counts, f"{time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
