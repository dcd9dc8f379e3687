"""A server with a single cube over a data source."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.server import RunningServer, start_server


@contextmanager
def serving_cube(
    folder: Path, described: Mapping[str, Any], source: Mapping[str, Any], *, fresh: bool = False
) -> Iterator[RunningServer]:
    """Serve it to the login demo.

    Args:
        folder: empty; model, state and configuration go there.
        described: the cube.
        source: the data source.
        fresh: see ``start_server``.
    """
    models = folder / "models"
    models.mkdir()
    (models / "cube.yml").write_text(json.dumps({"cubes": [described]}))
    config = {
        "models": str(models),
        "state_directory": str(folder / "state"),
        "auth": {"users": {"demo": {"password": "demo"}}},
        "data_sources": {"default": source},
        "server": {"port": 0},
    }
    file = folder / "cubewire.yml"
    file.write_text(json.dumps(config))
    server = start_server(["--config", str(file)], fresh=fresh)
    try:
        yield server
    finally:
        server.stop()
