"""Puts the configuration together: the file, over it the environment, over it the command line.

Every problem is reported at once, with the place it comes from and the nearest name that exists.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from proxy.config.models import Config
from proxy.config.secrets import SecretError, with_secrets
from proxy.config.shape import PATH_KEYS, entry, keys_at

PREFIX = "CUBEWIRE_"
_SEPARATOR = "__"
_WITH_SECRETS = (("data_sources",), ("rollups", "storage"))
"""Keys whose values may stand elsewhere, at any depth."""
_NOT_KEYS = frozenset({"CUBEWIRE_CONFIG"})
"""Environment variables that are read by the command line itself."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong.

    Attributes:
        place: ``cubewire.yml:12:3``, the variable's name, or ``command line``.
        key: dotted name of the key, empty where the file as a whole is meant.
        message: what is wrong, and what to write instead.
    """

    place: str
    key: str
    message: str

    def __str__(self) -> str:
        """One line."""
        return f"{self.place}: {self.key}: {self.message}" if self.key else self._without_key()

    def _without_key(self) -> str:
        return f"{self.place}: {self.message}"


class ConfigError(Exception):
    """The configuration cannot be used.

    Attributes:
        problems: all of them.
    """

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


def load_config(
    path: Path | None,
    environment: Mapping[str, str],
    overrides: Mapping[str, Any] | None = None,
) -> Config:
    """Load and check the configuration.

    Args:
        path: the YAML file; None for none.
        environment: ``CUBEWIRE_SERVER__PORT`` sets ``server.port``; other names are not looked at.
        overrides: values by dotted key, from the command line.

    Raises:
        ConfigError: with every problem.
    """
    values, places = _read(path) if path is not None else ({}, {})
    problems: list[Problem] = []
    for name, text in sorted(environment.items()):
        if name.startswith(PREFIX) and name not in _NOT_KEYS:
            keys = tuple(name.removeprefix(PREFIX).lower().split(_SEPARATOR))
            problems += _put(values, places, keys, _environment_value(text), name)
    for key, value in (overrides or {}).items():
        problems += _put(values, places, tuple(key.split(".")), value, "command line")
    folder = path.parent if path is not None else Path()
    try:
        for *above, last in _WITH_SECRETS:
            for holder in _holders(values, above):
                if last in holder:
                    keys = (*above, last)
                    holder[last] = with_secrets(holder[last], folder, environment, keys)
    except SecretError as error:
        place = places.get(error.keys, str(path or "configuration"))
        raise ConfigError([*problems, Problem(place, ".".join(error.keys), str(error))]) from None
    try:
        config = Config.model_validate(values)
    except ValidationError as error:
        problems += [_problem(each, values, places, path) for each in error.errors()]
        raise ConfigError(problems) from None
    except RecursionError:
        raise ConfigError([Problem(str(path), "", "is nested too deeply")]) from None
    if problems:
        raise ConfigError(problems)
    return config


def _read(path: Path) -> tuple[dict[str, Any], dict[tuple[str, ...], str]]:
    """The file's values, and the place of each key."""
    try:
        text = path.read_text(encoding="utf-8")
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        values = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([Problem(str(path), "", f"cannot be read: {error}")]) from None
    except yaml.MarkedYAMLError as error:
        raise ConfigError([Problem(_place(path, error.problem_mark), "", _yaml(error))]) from None
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigError([Problem(str(path), "", f"is not YAML: {error}")]) from None
    if node is None or values is None:
        return {}, {}
    if not isinstance(values, dict):
        raise ConfigError([Problem(str(path), "", "must be a mapping of keys to values")])
    places: dict[tuple[str, ...], str] = {}
    doubles = list(_locate(node, (), path, places))
    if doubles:
        raise ConfigError(doubles)
    _resolve(values, path.parent)
    return values, places


def _locate(
    node: yaml.Node, above: tuple[str, ...], path: Path, places: dict[tuple[str, ...], str]
) -> list[Problem]:
    doubles: list[Problem] = []
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            keys = (*above, str(key.value))
            place = _place(path, key.start_mark)
            if keys in places:
                doubles.append(Problem(place, ".".join(keys), "stands here a second time"))
            places[keys] = place
            doubles += _locate(value, keys, path, places)
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            keys = (*above, str(number))
            places[keys] = _place(path, value.start_mark)
            doubles += _locate(value, keys, path, places)
    return doubles


def _place(path: Path, mark: yaml.Mark | None) -> str:
    return f"{path}:{mark.line + 1}:{mark.column + 1}" if mark is not None else str(path)


def _yaml(error: yaml.MarkedYAMLError) -> str:
    context = f"{error.context}: " if error.context else ""
    return f"is not YAML: {context}{error.problem}"


def _resolve(values: dict[str, Any], folder: Path) -> None:
    for pattern in PATH_KEYS:
        *above, last = pattern.split(".")
        for holder in _holders(values, above):
            value = holder.get(last)
            if isinstance(value, str) and value and value != ":memory:":
                holder[last] = str(folder / value)


def _holders(values: Any, keys: list[str]) -> list[dict[str, Any]]:
    found = [values]
    for key in keys:
        inner: list[Any] = []
        for each in found:
            if key == "*":
                inner += each.values() if isinstance(each, dict) else []
                inner += each if isinstance(each, list) else []
            else:
                inner.append(entry(each, key))
        found = inner
    return [each for each in found if isinstance(each, dict)]


def _environment_value(text: str) -> Any:
    """A mapping or list is written as YAML; all else is text, converted by its key's type."""
    if text[:1] not in {"{", "["}:
        return text
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text


def _put(
    values: dict[str, Any],
    places: dict[tuple[str, ...], str],
    keys: tuple[str, ...],
    value: Any,
    place: str,
) -> list[Problem]:
    """Set one value from outside the file; an unknown name is a problem found here."""
    holder = values
    for depth, key in enumerate(keys):
        known = keys_at(keys[:depth], values)
        if known and key not in known:
            return [Problem(place, ".".join(keys), _unknown(key, known))]
        if depth == len(keys) - 1:
            break
        inner = holder.get(key)
        if inner is None:
            inner = holder[key] = {}
        if not isinstance(inner, dict):
            return [Problem(place, ".".join(keys), f"{key} has no keys of its own")]
        holder = inner
    holder[keys[-1]] = value
    places[keys] = place
    return []


def _unknown(key: str, known: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.6)
    if near:
        return f'unknown key "{key}"; did you mean "{near[0]}"?'
    return f'unknown key "{key}"; known here: {", ".join(known)}'


def _problem(
    error: ErrorDetails,
    values: dict[str, Any],
    places: dict[tuple[str, ...], str],
    path: Path | None,
) -> Problem:
    keys = _keys(error["loc"], values, whole=error["type"] == "value_error")
    place = next(
        (places[keys[:depth]] for depth in range(len(keys), 0, -1) if keys[:depth] in places),
        str(path) if path is not None else "configuration",
    )
    if error["type"] == "extra_forbidden":
        message = _unknown(keys[-1], keys_at(keys[:-1], values))
    elif error["type"] == "value_error":
        message = str(error["ctx"]["error"])
    else:
        message = error["msg"][:1].lower() + error["msg"][1:]
    return Problem(place, ".".join(keys), message)


def _keys(location: tuple[int | str, ...], values: Any, *, whole: bool = False) -> tuple[str, ...]:
    """The keys of an error's location, without the tag that names a kind of source or rule.

    Args:
        location: pydantic's.
        values: the raw values.
        whole: the error is of what stands there as a whole, so a tag may be the last part.
    """
    keys: list[str] = []
    here = values
    for index, part in enumerate(location):
        last = index == len(location) - 1 and not whole
        if isinstance(here, dict) and part not in here and not last:
            continue
        keys.append(str(part))
        here = entry(here, str(part))
    return tuple(keys)
