"""``python -m tests.soak``: what ``make soak`` runs. ``SOAK_SECONDS`` shortens it."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

from tests.soak.soak import Sample, soak

SECONDS = 1800.0
TOLD_EVERY = 30.0


class Told:
    """A line about the server from time to time."""

    def __init__(self) -> None:
        self._next = 0.0

    def __call__(self, sample: Sample) -> None:
        if sample.seconds < self._next:
            return
        self._next = sample.seconds + TOLD_EVERY
        print(
            f"{sample.seconds:6.0f} s: {sample.memory / 1e6:6.1f} MB, {sample.files} files, "
            f"{sample.connections} connections",
            flush=True,
        )


def main() -> int:
    seconds = float(os.environ.get("SOAK_SECONDS", SECONDS))
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="cubewire-soak-") as folder:
        report = soak(Path(folder), seconds, Told())
    print(f"{time.monotonic() - began:.0f} s; done: {report.done}")
    print(report.summary())
    problems = report.problems()
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


sys.exit(main())
