"""Connectors of other packages: the template that we hand out works, and what is broken is told."""

from __future__ import annotations

import contextlib
import sqlite3
import sys
import tomllib
from pathlib import Path

import pytest

from connectors.base import Snapshotter
from connectors.options import ConnectorOptionsError
from proxy.config.sources import PluginSource
from proxy.plugins import GROUP, open_source
from tests.architecture.sources import ROOT
from tests.connectors.support import all_rows

TEMPLATE = ROOT / "deploy" / "connector_template"


def register(folder: Path, monkeypatch: pytest.MonkeyPatch, entries: dict[str, str]) -> None:
    """What installing a package leaves behind, as far as entry points go."""
    info = folder / "example-1.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: example\nVersion: 1\n")
    lines = "".join(f"{name} = {value}\n" for name, value in entries.items())
    (info / "entry_points.txt").write_text(f"[{GROUP}]\n{lines}")
    monkeypatch.syspath_prepend(folder)


@pytest.fixture
def template(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = tomllib.loads((TEMPLATE / "pyproject.toml").read_text())
    entries = project["project"]["entry-points"][GROUP]
    register(tmp_path, monkeypatch, entries)
    monkeypatch.syspath_prepend(TEMPLATE)
    monkeypatch.delitem(sys.modules, "example_connector", raising=False)


def source(name: str, **options: object) -> PluginSource:
    return PluginSource(type="plugin", plugin=name, connector_options=options)


async def test_the_template(template: None, tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    database = sqlite3.connect(path)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("CREATE TABLE t (a INTEGER)")
    database.executemany("INSERT INTO t VALUES (?)", [(i,) for i in range(10_000)])
    database.commit()
    database.close()
    given = source("example", path=str(path))
    connector = open_source(given, given.options())
    await connector.start()
    try:
        stream = await connector.execute("/* int8 */ SELECT a FROM t ORDER BY a")
        rows = [value for batch in [b async for b in stream] for value in batch[0].to_pylist()]
        assert rows == list(range(10_000))
        assert [column.name for column in await connector.probe("SELECT a FROM t")] == ["a"]
        assert connector.capabilities.snapshots
        assert isinstance(connector, Snapshotter)
        count = "/* int8 */ SELECT count(*) AS n FROM t"
        async with connector.snapshot() as snapshot:
            before = await all_rows(await snapshot.execute(count))
            with contextlib.closing(sqlite3.connect(path)) as writer, writer:
                writer.execute("DELETE FROM t")
            assert await all_rows(await snapshot.execute(count)) == before
        assert (await all_rows(await connector.execute(count))) != before
    finally:
        await connector.close()


@pytest.mark.parametrize(
    ("options", "says"),
    [({}, "needs the option 'path'"), ({"path": "x", "pth": 1}, "did you mean 'path'")],
)
def test_its_options(template: None, options: dict[str, object], says: str) -> None:
    with pytest.raises(ConnectorOptionsError, match=says):
        open_source(source("example", **options), options)


def test_not_installed(template: None) -> None:
    with pytest.raises(
        ConnectorOptionsError, match="'exmple' is installed: did you mean 'example'"
    ):
        open_source(source("exmple"), {})


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("import no_such_driver", "ModuleNotFoundError: No module named 'no_such_driver'"),
        ("1 / 0", "ZeroDivisionError"),
        ("PLUGIN = None", "is no proxy.plugins.ConnectorPlugin"),
        (
            "from proxy.plugins import ConnectorPlugin\nPLUGIN = ConnectorPlugin(int, int)",
            "dataclass of options",
        ),
        ("", "AttributeError"),
        (
            "from dataclasses import dataclass\nfrom proxy.plugins import ConnectorPlugin\n"
            "from semantic.compiler.expressions.portable.sqlite import SQLITE\n"
            "@dataclass\nclass O: pass\nPLUGIN = ConnectorPlugin(O, lambda o: None, SQLITE)",
            "the dialect sqlite is known already",
        ),
    ],
)
def test_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, says: str) -> None:
    (tmp_path / "broken_plugin.py").write_text(code)
    register(tmp_path, monkeypatch, {"broken": "broken_plugin:PLUGIN"})
    monkeypatch.delitem(sys.modules, "broken_plugin", raising=False)
    with pytest.raises(ConnectorOptionsError, match="plug-in 'broken'") as caught:
        open_source(source("broken"), {})
    assert says in str(caught.value)
