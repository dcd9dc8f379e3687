"""Walks the configuration's classes: which keys a place has, and which of them are paths."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from proxy.config.models import Config

PATH_KEYS = (
    "models",
    "state_directory",
    "tls.certificate",
    "tls.key",
    "catalog.directory",
    "catalog.template_directory",
    "catalog.postgres",
    "log.file",
    "audit.file",
    "audit.key",
    "rollups.directory",
    "data_sources.*.path",
)
"""Keys whose relative values in a file count from that file's folder."""


def keys_at(path: tuple[str, ...], values: Mapping[str, Any]) -> tuple[str, ...]:
    """The keys that may stand at a place.

    Args:
        path: keys from the top.
        values: the configuration's raw values, which decide between kinds of data source.

    Returns:
        Names, () where any name may stand (a login, a data source) or the place has no keys.
    """
    annotation: Any = Config
    here: Any = values
    for key in path:
        annotation = _step(annotation, key, here)
        here = here.get(key) if isinstance(here, Mapping) else None
        if annotation is None:
            return ()
    chosen = _model(annotation, here)
    return tuple(chosen.model_fields) if chosen is not None else ()


def fields() -> Iterator[tuple[str, FieldInfo]]:
    """Every leaf with its dotted name, in order.

    A name of the user's choice stands as ``<name>``, or as ``<duckdb>`` where the keys below it
    depend on the kind.
    """
    yield from _fields("", Config)


def is_path(field: FieldInfo) -> bool:
    """Whether a leaf's value is a file or folder."""
    return Path in (field.annotation, *get_args(field.annotation))


def _fields(prefix: str, model: type[BaseModel]) -> Iterator[tuple[str, FieldInfo]]:
    for name, field in model.model_fields.items():
        annotation = _plain(field.annotation)
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield from _fields(f"{prefix}{name}.", annotation)
            continue
        yield f"{prefix}{name}", field
        inner = get_args(annotation)[1] if get_origin(annotation) is dict else None
        kinds = _models(inner)
        for kind in kinds:
            # Where there are several kinds, the table names the one a key belongs to.
            mark = (
                f"<{get_args(kind.model_fields['type'].annotation)[0]}>" if kinds[1:] else "<name>"
            )
            yield from _fields(f"{prefix}{name}.{mark}.", kind)


def _step(annotation: Any, key: str, here: Any) -> Any:
    if get_origin(annotation) is dict:
        return _plain(get_args(annotation)[1])
    model = _model(annotation, here)
    if model is None or key not in model.model_fields:
        return None
    return _plain(model.model_fields[key].annotation)


def _model(annotation: Any, here: Any) -> type[BaseModel] | None:
    kinds = _models(annotation)
    if len(kinds) > 1:
        wanted = here.get("type") if isinstance(here, Mapping) else None
        kinds = [kind for kind in kinds if wanted in get_args(kind.model_fields["type"].annotation)]
    return kinds[0] if kinds else None


def _models(annotation: Any) -> list[type[BaseModel]]:
    plain = _plain(annotation)
    options = get_args(plain) if get_origin(plain) in (Union, types.UnionType) else (plain,)
    return [
        option for option in options if isinstance(option, type) and issubclass(option, BaseModel)
    ]


def _plain(annotation: Any) -> Any:
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return annotation
