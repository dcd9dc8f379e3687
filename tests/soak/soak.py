"""A server under mixed load for a long time: what it takes of the machine has to stay the same."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import duckdb
import psutil

from tests.bench.machine import tree
from tests.scale.world import MODEL
from tests.soak.load import Clients
from tests.support.server import start_server

CONFIGURATION = {
    "models": "models",
    "state_directory": "state",
    "server": {"port": 0},
    "auth": {"users": {"anna": {"password": "anna", "attributes": {"city": 1}}}},
    # Caches are small, so that they are full soon: what grows then is no cache.
    "cache": {"memory_bytes": "4MiB", "max_entry_bytes": "1MiB"},
    "parser": {"cached_statements": 100},
    "data_sources": {"default": {"type": "duckdb", "path": "orders.duckdb"}},
    "log": {"file": "log"},
}
LONG_SECONDS = 600.0
"""After a quarter of which everything is warm: pools are open, caches full, code is loaded."""
TREND_BYTES = 10_000_000
"""What the trend of a long run may add to memory once it is warm."""
STRETCHES = 40
"""Results on their way, and what the C library keeps for the next ones, come and go by 30 MB, so
that the straight line through all moments of a flat run rises or falls by 20. What stays is what is
taken in the quietest moment of each of so many stretches; in half an hour, of 45 s."""
GROSS_BYTES = 150_000_000
"""The same for a short one, which is all warming up: it only shows that results are freed."""
SHORT_FILLER = 1_000
"""See ``Clients.filler``: a dozen results that stay are more than caches and code ever take."""
MORE_FILES = 12
"""Pools are filled differently from one moment to the next."""


@dataclass(frozen=True)
class Sample:
    """What the server takes: memory with its processes, files by itself."""

    seconds: float
    memory: int
    files: int
    connections: int


@dataclass(frozen=True)
class Report:
    done: dict[str, int]
    wrong: Sequence[str]
    samples: Sequence[Sample]

    @property
    def trend(self) -> float:
        """See ``trend``, of the least memory of each stretch."""
        return trend([(sample.seconds, sample.memory) for sample in self.quietest])

    @property
    def quietest(self) -> Sequence[Sample]:
        """Of each stretch the sample with the least memory."""
        size = max(1, len(self.samples) // STRETCHES)
        stretches = (self.samples[at : at + size] for at in range(0, len(self.samples), size))
        return [min(each, key=lambda sample: sample.memory) for each in stretches]

    def problems(self) -> list[str]:
        """What is not as it should be; the first quarter is for warming up."""
        found = [f"{len(self.wrong)} failures, such as {self.wrong[0]}"] if self.wrong else []
        found += [f"nothing done: {kind}" for kind, count in self.done.items() if not count]
        is_long = self.samples[-1].seconds >= LONG_SECONDS
        if self.trend > (TREND_BYTES if is_long else GROSS_BYTES):
            found.append(f"memory grew by {self.trend / 1e6:.0f} MB once it was warm")
        quarter = max(1, len(self.samples) // 4)
        before, after = self.samples[quarter : 2 * quarter], self.samples[-quarter:]
        opened = statistics.median(sample.files for sample in before)
        still = statistics.median(sample.files for sample in after)
        if still > opened + MORE_FILES:
            found.append(f"file descriptors grew from {opened:.0f} to {still:.0f}")
        return found

    def summary(self) -> str:
        """Figures of each quarter, as medians, and the trend of memory."""
        size = max(1, len(self.samples) // 4)
        quarters = [self.samples[size * number : size * (number + 1)] for number in range(4)]
        memory = [sorted(each.memory for each in quarter) for quarter in quarters]
        files = (statistics.median(each.files for each in quarter) for quarter in quarters)
        median = (statistics.median(each) for each in memory)
        return (
            f"medians of the quarters: {' '.join(f'{size / 1e6:.0f}' for size in median)} MB "
            f"(least {' '.join(f'{each[0] / 1e6:.0f}' for each in memory)}, "
            f"most {' '.join(f'{each[-1] / 1e6:.0f}' for each in memory)}), "
            f"{' '.join(f'{count:.0f}' for count in files)} files; "
            f"trend of the last three quarters: {self.trend / 1e6:+.1f} MB"
        )


def trend(sizes: Sequence[tuple[float, int]]) -> float:
    """What the straight line through all but the first quarter of sizes rises by.

    Args:
        sizes: with the time of each.
    """
    warm = sizes[len(sizes) // 4 :]
    times = [moment for moment, _ in warm]
    line = statistics.linear_regression(times, [size for _, size in warm])
    return line.slope * (times[-1] - times[0])


def soak(folder: Path, seconds: float, told: Callable[[Sample], None] | None = None) -> Report:
    """Load a server of its own for so many seconds."""
    folder.chmod(0o755)
    (folder / "models").mkdir()
    model = MODEL.partition("    access_policy:")[0] % "amount"
    (folder / "models" / "orders.yml").write_text(model)
    (folder / "cubewire.yml").write_text(json.dumps(CONFIGURATION))
    with duckdb.connect(str(folder / "orders.duckdb")) as connection:
        connection.execute(
            "CREATE TABLE orders AS SELECT i AS id, i % 2 AS city_id, 'done' AS status, "
            "(i % 1000)::DECIMAL(12, 2) AS amount FROM range(200000) r(i)"
        )
    server = start_server(["--config", str(folder / "cubewire.yml")], fresh=True)
    try:
        dsn = f"postgresql://anna:anna@{server.host}:{server.port}/cubewire"
        is_long = seconds >= LONG_SECONDS
        clients = Clients(dsn, 0 if is_long else SHORT_FILLER)
        if is_long:
            clients.warm()
        samples: list[Sample] = []
        every = max(0.25, seconds / 400)
        began = time.monotonic()
        with clients.running():
            while (now := time.monotonic() - began) < seconds:
                samples.append(_sample(server.pid, now))
                if told is not None:
                    told(samples[-1])
                time.sleep(every)
        return Report(dict(clients.done), clients.wrong, samples)
    finally:
        server.stop()


def _sample(pid: int, seconds: float) -> Sample:
    files = connections = 0
    with suppress(psutil.Error):
        server = psutil.Process(pid)
        files, connections = server.num_fds(), len(server.net_connections("tcp"))
    return Sample(seconds, own_memory(pid), files, connections)


def own_memory(pid: int) -> int:
    """Bytes that a process tree has for itself, but for files: of those, neighbours have a part."""
    total = 0
    for process in tree(pid):
        with suppress(OSError):
            for line in Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines():
                if line.startswith(("Pss_Anon:", "Pss_Shmem:")):
                    total += int(line.split()[1]) * 1024
    return total
