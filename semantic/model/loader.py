"""From YAML files to a model, or to the list of everything that is wrong with them.

``load_texts`` is pure: files, environment and dbt manifest are arguments. ``load_model`` adds only
the reading of a folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from semantic.model.check import check_model
from semantic.model.extends import plain_keys, resolve_extends
from semantic.model.files import YAML, model_files
from semantic.model.model import Model
from semantic.model.read_cubes import CUBE_KEYS, cube
from semantic.model.read_members import place_of_name
from semantic.model.read_views import VIEW_KEYS, view
from semantic.model.reading import Reading
from semantic.model.report import ModelReport, Problem, nearest
from semantic.model.templating import Renderer, Source
from semantic.model.tree import ListNode, MapNode, Node, ScalarNode, parse_yaml
from semantic.model.values import Location

# Faults of one reference, which the cubes that inherit it would word differently.
_BY_PLACE = frozenset({"unknown-reference", "unknown-cube", "join-path", "fan-out", "cycle"})
_SECTIONS = ("cubes", "views")
_KEYS = {"cubes": CUBE_KEYS, "views": VIEW_KEYS}


def load_texts(
    files: Mapping[str, str],
    environment: Mapping[str, str] | None = None,
    manifest: Mapping[str, object] | None = None,
) -> ModelReport:
    """Load a model from the texts of its files.

    Args:
        files: text by path; ``.yml`` and ``.yaml`` hold cubes and views, ``.jinja`` macros.
        environment: what ``env_var`` may read in templates.
        manifest: dbt's ``manifest.json``, for ``ref`` and ``source`` in templates.
    """
    reading = Reading()
    renderer = Renderer(files, environment or {}, manifest)
    sections: dict[str, dict[str, MapNode]] = {section: {} for section in _SECTIONS}
    complete = True
    for file in sorted(files):
        if Path(file).suffix in YAML:
            complete &= _read_file(reading, renderer, file, files[file], sections)
    model = _build(reading, sections)
    check_model(reading, model)
    problems = _unique(reading.problems, complete=complete)
    return ModelReport(problems, None if problems else model, dict(files))


def load_model(
    path: Path,
    environment: Mapping[str, str],
    manifest: Mapping[str, object] | None = None,
) -> ModelReport:
    """Load a model from a folder and the folders in it, or from one file.

    Never raises for what it finds there.
    """
    files: dict[str, str] = {}
    problems: list[Problem] = []
    root = path if path.is_dir() else path.parent
    for item in model_files(path):
        name = item.relative_to(root).as_posix()
        try:
            files[name] = item.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
        except UnicodeDecodeError as error:
            place = Location(name, 0, 0)
            problems.append(Problem(place, "file", f"not UTF-8: byte {error.start} of the file"))
        except OSError as error:
            message = f"cannot be read: {error.strerror}"
            # What is configured is named whole: it may be looked for in another place than meant.
            where = str(path) if item == path else name
            problems.append(Problem(Location(where, 0, 0), "file", message))
    if not files and not problems:
        message = "no model files (*.yml, *.yaml) here"
        problems.append(Problem(Location(str(path), 0, 0), "file", message))
    report = load_texts(files, environment, manifest)
    if not problems:
        return report
    return ModelReport((*problems, *report.problems), None, report.sources)


def _read_file(
    reading: Reading,
    renderer: Renderer,
    file: str,
    text: str,
    sections: dict[str, dict[str, MapNode]],
) -> bool:
    """Collect the cubes and views of a file; False when a part of it could not be read."""
    rendered = renderer.render(file, text)
    if not isinstance(rendered, Source):
        reading.problems.append(rendered)
        return False
    documents, problems = parse_yaml(rendered)
    reading.problems.extend(problems)
    for document in documents:
        if isinstance(document, ScalarNode) and document.is_null:
            continue
        if not isinstance(document, MapNode):
            reading.problem(document, "type", 'a file must be a mapping with "cubes" or "views"')
            continue
        for key, (label, value) in document.entries.items():
            if key in sections:
                _collect(reading, key, value, sections)
            else:
                message = f'unknown key "{key}" in file'
                reading.problem(label, "unknown-key", message, nearest(key, _SECTIONS))
    return not any(problem.code == "yaml" for problem in problems)


def _collect(
    reading: Reading, section: str, node: Node, sections: dict[str, dict[str, MapNode]]
) -> None:
    if isinstance(node, ScalarNode) and node.is_null:
        return
    if not isinstance(node, ListNode):
        reading.problem(node, "type", f"{section} must be a list")
        return
    for item in node.items:
        label = item.get("name") if isinstance(item, MapNode) else None
        if not isinstance(item, MapNode) or not isinstance(label, ScalarNode):
            what = section.removesuffix("s")
            reading.problem(item, "missing-key", f'{what} has no "name"')
            continue
        clash = next(
            (other[label.text] for other in sections.values() if label.text in other), None
        )
        if clash is not None:
            message = f'"{label.text}" is defined twice (first at {place_of_name(clash)})'
            reading.problem(label, "name-clash", message)
            continue
        sections[section][label.text] = plain_keys(item, _KEYS[section])


def _build(reading: Reading, sections: Mapping[str, Mapping[str, MapNode]]) -> Model:
    cubes = [
        cube(reading, node) for node in resolve_extends(reading, sections["cubes"], "cube").values()
    ]
    base = Model(tuple(item for item in cubes if item is not None))
    views = [
        view(reading, node, base)
        for node in resolve_extends(reading, sections["views"], "view").values()
    ]
    return Model(base.cubes, tuple(item for item in views if item is not None))


def _unique(problems: list[Problem], *, complete: bool) -> tuple[Problem, ...]:
    """Problems in order of place, once each.

    What is inherited would be reported twice; what lies in an unreadable file is not unknown.
    """
    kept: dict[tuple[Location, str, str], Problem] = {}
    for item in problems:
        if complete or item.code != "unknown-cube":
            message = "" if item.code in _BY_PLACE else item.message
            kept.setdefault((item.location, item.code, message), item)
    return tuple(sorted(kept.values(), key=lambda item: item.location))
