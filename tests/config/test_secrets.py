"""Values of data sources that stand in the environment, in files, in what commands print."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from proxy.config import Config, ConfigError, load_config
from proxy.config.sources import PluginSource, PostgresSource


def load(folder: Path, source: str, environment: dict[str, str] | None = None) -> Config:
    path = folder / "cubewire.yml"
    path.write_text(f"data_sources:\n  w:\n    {source}\n")
    return load_config(path, environment or {})


@pytest.mark.parametrize(
    "reference",
    [
        "{env: WAREHOUSE}",
        "{file: secrets/dsn}",
        f"{{command: [{sys.executable}, -c, \"import os; print(os.environ['WAREHOUSE'])\"]}}",
    ],
)
def test_read(tmp_path: Path, reference: str) -> None:
    dsn = "postgresql://reader:p4ss@warehouse/dwh"
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "dsn").write_text(f"{dsn}\n")
    config = load(tmp_path, f"type: postgres\n    dsn: {reference}", {"WAREHOUSE": dsn})
    source = config.data_sources["w"]
    assert isinstance(source, PostgresSource)
    assert source.dsn == dsn
    assert "p4ss" not in repr(config)


def test_inside_the_options_of_a_plugin(tmp_path: Path) -> None:
    text = "{type: plugin, plugin: x, connector_options: {token: {env: TOKEN}, env: prod}}"
    path = tmp_path / "cubewire.yml"
    path.write_text(f"data_sources: {{w: {text}}}\n")
    source = load_config(path, {"TOKEN": "s3cret"}).data_sources["w"]
    assert isinstance(source, PluginSource)
    assert source.options() == {"token": "s3cret", "env": "prod"}
    assert "s3cret" not in repr(source)


@pytest.mark.parametrize(
    ("reference", "says"),
    [
        ("{env: NOBODY}", "the environment has no variable NOBODY"),
        ("{file: nothing}", "No such file"),
        ("{command: [/no/such/program]}", "No such file"),
        ("{command: [/bin/sh, -c, 'echo s3cret; exit 3']}", "the command ended with status 3"),
        ("{command: 'echo s3cret'}", "takes a list"),
        ("{env: [A]}", "takes the name"),
        ("{file: [A]}", "takes a path"),
    ],
)
def test_missing(tmp_path: Path, reference: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, f"type: postgres\n    dsn: {reference}")
    assert says in str(caught.value)
    assert "cubewire.yml:4:5: data_sources.w.dsn: " in str(caught.value)
    assert "s3cret" not in str(caught.value)
