"""Options of a connector as they stand in the configuration, read into a frozen dataclass.

The configuration hands over a plain mapping per data source. ``read_options`` checks it against the
dataclass of the connector, so a misspelt key is an error that names the nearest valid one, at start
and not at the first query.
"""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from collections.abc import Mapping
from typing import TypeVar

T = TypeVar("T")


class ConnectorOptionsError(ValueError):
    """The options of a data source cannot be used. The message is fit for the operator."""


def nearest(name: str, valid: typing.Iterable[str]) -> str:
    """A sentence that helps with a wrong name: the nearest valid one, else all of them."""
    names = sorted(valid)
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    return "valid are " + ", ".join(names)


def read_options(kind: str, options: Mapping[str, object], into: type[T]) -> T:
    """Build ``into`` (a dataclass) from ``options``.

    Fields are of type str, int, float, bool, tuple of str or Mapping. A list is taken for a tuple,
    an int for a float, and a text for a bool or a number: values from the environment are texts.
    """
    hints = typing.get_type_hints(into)
    fields = {field.name: field for field in dataclasses.fields(into)}  # type: ignore[arg-type]
    values: dict[str, object] = {}
    for name, value in options.items():
        if name not in fields:
            raise ConnectorOptionsError(
                f"unknown option {name!r} of a {kind} data source; {nearest(name, fields)}"
            )
        values[name] = _convert(kind, name, value, hints[name])
    for field in fields.values():
        required = (
            field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        )
        if required and field.name not in values:
            raise ConnectorOptionsError(f"a {kind} data source needs the option {field.name!r}")
    try:
        return into(**values)
    except ValueError as error:
        raise ConnectorOptionsError(f"{kind} data source: {error}") from error


def _convert(kind: str, name: str, value: object, hint: object) -> object:
    if typing.get_origin(hint) is Mapping:
        if not isinstance(value, Mapping):
            raise ConnectorOptionsError(
                f"option {name!r} of a {kind} data source must be a mapping, not {value!r}"
            )
        return value
    try:
        if isinstance(hint, types.GenericAlias):
            return _texts(value)
        if hint is bool:
            return _boolean(value)
        if hint is int or hint is float:
            return _number(value, hint)
    except (TypeError, ValueError):
        wanted = getattr(hint, "__name__", str(hint))
        raise ConnectorOptionsError(
            f"option {name!r} of a {kind} data source must be of type {wanted}, not {value!r}"
        ) from None
    if not isinstance(value, str):
        raise ConnectorOptionsError(
            f"option {name!r} of a {kind} data source must be a text, not {value!r}"
        )
    return value


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise TypeError(value)
    return tuple(value)


def _boolean(value: object) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in {"true", "false"}:
        return value.lower() == "true"
    raise ValueError(value)


def _number(value: object, hint: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise TypeError(value)
    if hint is float:
        return float(value)
    if isinstance(value, float):
        raise TypeError(value)
    return int(value)
