"""The documentation of the keys, and what else must agree with their definitions."""

from __future__ import annotations

import dataclasses
import doctest
import re
from pathlib import Path
from typing import Any, get_args

import pytest

from connectors.options import ConnectorOptionsError
from connectors.registry import KINDS, options_of
from proxy.config import reference
from proxy.config.shape import PATH_KEYS, fields, is_path
from proxy.config.sources import SOURCES, PluginSource, Source
from tests.architecture.sources import ROOT


def test_readme_has_the_table() -> None:
    readme = (ROOT / "README.md").read_text()
    assert reference.replaced(readme) == readme


def test_every_key_is_described() -> None:
    assert [name for name, field in fields() if not field.description] == []


def test_every_path_is_resolved() -> None:
    paths = {re.sub(r"\[.*?\]", ".*", name) for name, field in fields() if is_path(field)}
    # Those of data sources are text: a DuckDB file's path may be :memory:, others may be empty.
    assert paths == {key for key in PATH_KEYS if not key.startswith("data_sources.")}


def kinds_of(source: type[Source]) -> tuple[str, ...]:
    return get_args(source.model_fields["type"].annotation)


def _options(kind: str) -> Any:
    try:
        return options_of(kind)
    except ConnectorOptionsError as error:
        # Drivers that not everybody has.
        pytest.skip(str(error))


def kind_of(source: type[Source]) -> str:
    return kinds_of(source)[0]


def test_every_connector_can_be_configured() -> None:
    configured = [kind for source in SOURCES for kind in kinds_of(source)]
    assert sorted(configured) == sorted((*KINDS, "plugin"))


def default_of(field: dataclasses.Field[Any]) -> object:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return None if field.default is dataclasses.MISSING else field.default


@pytest.mark.parametrize("source", [s for s in SOURCES if s is not PluginSource], ids=kind_of)
def test_data_sources_take_their_connectors_options(source: type[Source]) -> None:
    theirs = {
        field.name: default_of(field)
        for field in dataclasses.fields(_options(kind_of(source)))
        if field.metadata.get("set_by") != "server"
    }
    ours = {
        name: None if field.is_required() else field.get_default(call_default_factory=True)
        for name, field in source.model_fields.items()
        if name not in source.server_keys
    }
    assert ours == theirs


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert reference.main([]) == 0
    assert "`server.port`" in capsys.readouterr().out
    path = tmp_path / "x.md"
    path.write_text(f"a\n{reference.BEGIN}\nstale row\n{reference.END}\nb\n")
    assert reference.main(["--write", str(path)]) == 0
    assert "stale row" not in path.read_text()
    assert path.read_text().endswith(f"{reference.END}\nb\n")
    path.write_text("no marks")
    with pytest.raises(ValueError, match="no marks"):
        reference.main(["--write", str(path)])


def test_examples_in_docstrings() -> None:
    assert doctest.testmod(reference).failed == 0
