"""Writes suggested pre-aggregations into the model's own files.

A file is only added to, line by line, so that comments and layout stay. What templates make is not
in the file as it will be read, so such files are left alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from proxy.rollups.advisor import yaml_lines
from semantic.compiler.rollups.advise import Suggestion
from semantic.model.loader import load_model

_TEMPLATE_MARKS = ("{%", "{{")


class WriteError(ValueError):
    """A suggestion cannot be written into the model."""


def write_suggestions(
    folder: Path, environment: Mapping[str, str], suggestions: Sequence[Suggestion]
) -> list[Path]:
    """Add suggestions to the files of their cubes; return the files.

    Raises WriteError where that cannot be done; then every file is as it was.
    """
    report = load_model(folder, environment)
    if report.model is None:
        raise WriteError(report.render_text())
    before: dict[Path, str] = {}
    try:
        for suggestion in suggestions:
            cube = report.model.cubes_by_name[suggestion.stores.cube]
            path = _file(folder, cube.location.file)
            text = path.read_text(encoding="utf-8")
            before.setdefault(path, text)
            path.write_text(_added(text, suggestion, path), encoding="utf-8")
        _check(folder, environment)
    except (WriteError, OSError, yaml.YAMLError):
        for path, text in before.items():
            path.write_text(text, encoding="utf-8")
        raise
    return list(before)


def _check(folder: Path, environment: Mapping[str, str]) -> None:
    report = load_model(folder, environment)
    if report.model is None:
        raise WriteError(report.render_text())


def _file(folder: Path, name: str) -> Path:
    for path in (folder / name, Path(name)):
        if path.is_file():
            return path
    raise WriteError(f"the file {name} is not in {folder}")


def _added(text: str, suggestion: Suggestion, path: Path) -> str:
    if any(mark in text for mark in _TEMPLATE_MARKS):
        raise WriteError(f"{path} is a template: paste the suggestion by hand")
    cube = _cube(yaml.compose(text, Loader=yaml.SafeLoader), suggestion.stores.cube)
    if cube is None:
        raise WriteError(f"{path} has no cube {suggestion.stores.cube} of its own")
    lines = text.splitlines()
    column = cube.value[0][0].start_mark.column
    for key, value in cube.value:
        if key.value == "pre_aggregations" and value.value:
            first = value.value[0].start_mark
            # The dash stands before the item's first key.
            indent = lines[first.line].index("-")
            lines[first.line : first.line] = yaml_lines(suggestion.as_mapping(), indent)
            return "\n".join(lines) + "\n"
    key, value = cube.value[-1]
    end = value.end_mark.line if value.end_mark.column == 0 else value.end_mark.line + 1
    while end > 0 and not lines[end - 1].strip():
        end -= 1
    header = f"{' ' * column}pre_aggregations:"
    lines[end:end] = ["", header, *yaml_lines(suggestion.as_mapping(), column + 2)]
    return "\n".join(lines) + "\n"


def _cube(root: yaml.Node | None, name: str) -> yaml.MappingNode | None:
    if not isinstance(root, yaml.MappingNode):
        return None
    for key, value in root.value:
        if key.value != "cubes" or not isinstance(value, yaml.SequenceNode):
            continue
        for cube in value.value:
            if not isinstance(cube, yaml.MappingNode) or cube.flow_style:
                continue
            if any(key.value == "name" and value.value == name for key, value in cube.value):
                return cube
    return None
