"""From starting the command to its ``ready``."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator

from tests.bench.pace import Pace
from tests.bench.results import Figure
from tests.bench.targets import CUBEWIRE, Field
from tests.support.server import start_server


def measure(field: Field, pace: Pace) -> Iterator[Figure]:
    """Seconds with the demo: the first time, when its data are made, and later."""
    settings = field.directory / "demo.yml"
    state = field.directory / "demo-state"
    settings.write_text(f"state_directory: {state}\nlog: {{file: {field.directory}/demo.log}}\n")
    # As where it is installed: compiled modules are kept, whatever the surroundings say.
    environment = {
        "PYTHONDONTWRITEBYTECODE": "",
        "PYTHONPYCACHEPREFIX": str(field.directory / "bytecode"),
    }
    yield Figure("start", "first", CUBEWIRE, _start(str(settings), environment), "s")
    warm = [_start(str(settings), environment) for _ in range(pace.rounds)]
    yield Figure("start", "warm", CUBEWIRE, statistics.median(warm), "s")


def _start(settings: str, environment: dict[str, str]) -> float:
    began = time.perf_counter()
    arguments = ["--demo", "--port", "0", "--config", settings]
    server = start_server(arguments, environment, fresh=True)
    seconds = time.perf_counter() - began
    server.stop()
    return seconds
