"""Walks the configuration's classes: which keys a place has, and which of them are paths."""

from __future__ import annotations

import types
from collections.abc import Container, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from proxy.config.models import Config

PATH_KEYS = (
    "models",
    "state_directory",
    "tls.certificate",
    "tls.key",
    "tls.client_ca",
    "tls.client_crl",
    "auth.users_file",
    "auth.rules.*.jwks_file",
    "auth.rules.*.jwks_ca",
    "auth.rules.*.ca",
    "catalog.directory",
    "catalog.template_directory",
    "catalog.postgres",
    "log.file",
    "audit.file",
    "audit.key",
    "rollups.directory",
    "data_sources.*.path",
    "data_sources.*.ssl_ca",
    "data_sources.*.ssl_cert",
    "data_sources.*.ssl_key",
)
"""Keys whose relative values in a file count from that file's folder."""


def keys_at(path: tuple[str, ...], values: Mapping[str, Any]) -> tuple[str, ...]:
    """The keys that may stand at a place.

    Args:
        path: keys from the top.
        values: the configuration's raw values, which decide between kinds of data source and rule.

    Returns:
        Names, () where any name may stand (a login, a data source) or the place has no keys.
    """
    annotation: Any = Config
    here: Any = values
    for key in path:
        annotation = _step(annotation, key, here)
        here = entry(here, key)
        if annotation is None:
            return ()
    chosen = _model(annotation, here)
    return tuple(chosen.model_fields) if chosen is not None else ()


def fields() -> Iterator[tuple[str, FieldInfo]]:
    """Every leaf with its dotted name, in order.

    A name of the user's choice stands as ``<name>``, or as ``<duckdb>`` where the keys below it
    depend on the kind; an entry of a list as ``[]`` or ``[duckdb]``.
    """
    yield from _fields("", Config)


def entry(here: Any, key: str) -> Any:
    """What stands under a key of a mapping or at a number of a list; None where nothing does."""
    if isinstance(here, Mapping):
        return here.get(key)
    if isinstance(here, list) and key.isdecimal() and int(key) < len(here):
        return here[int(key)]
    return None


def is_path(field: FieldInfo) -> bool:
    """Whether a leaf's value is a file or folder."""
    return Path in (field.annotation, *get_args(field.annotation))


def _fields(
    prefix: str, model: type[BaseModel], without: Container[str] = ()
) -> Iterator[tuple[str, FieldInfo]]:
    for name, field in model.model_fields.items():
        if name in without:
            continue
        annotation = _plain(field.annotation)
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield from _fields(f"{prefix}{name}.", annotation)
            continue
        yield f"{prefix}{name}", field
        yield from _inner_fields(f"{prefix}{name}", annotation)


def _inner_fields(name: str, annotation: Any) -> Iterator[tuple[str, FieldInfo]]:
    """The keys of what a mapping or list holds."""
    listed = get_origin(annotation) is tuple
    kinds = _models(_element(annotation))
    if not kinds[1:]:
        for kind in kinds:
            yield from _fields(f"{name}[]." if listed else f"{name}.<name>.", kind)
        return
    # What all kinds have is told once; of the rest, the table names the kind a key belongs to.
    common = kinds[0].__base__
    shared: Container[str] = ()
    if common is not None and issubclass(common, BaseModel) and common.model_fields:
        assert all(issubclass(each, common) for each in kinds)
        shared = common.model_fields
        yield from _fields(f"{name}[]." if listed else f"{name}.<name>.", common)
    for kind in kinds:
        name_of = _tag(kind)[1][0]
        mark = f"[{name_of}]" if listed else f".<{name_of}>"
        yield from _fields(f"{name}{mark}.", kind, without=shared)


def _element(annotation: Any) -> Any:
    """What a mapping's values or a list's entries are."""
    if get_origin(annotation) is dict:
        return _plain(get_args(annotation)[1])
    if get_origin(annotation) is tuple:
        return _plain(get_args(annotation)[0])
    return None


def _tag(kind: type[BaseModel]) -> tuple[str, tuple[str, ...]]:
    """The key that says which kind an entry is, and its values for this one."""
    for name in ("type", "method"):
        field = kind.model_fields.get(name)
        if field is not None and get_origin(field.annotation) is Literal:
            return name, get_args(field.annotation)
    raise AssertionError(f"{kind.__name__} has no key that tells it from its like")


def _step(annotation: Any, key: str, here: Any) -> Any:
    if get_origin(annotation) in (dict, tuple):
        return _element(annotation)
    model = _model(annotation, here)
    if model is None or key not in model.model_fields:
        return None
    return _plain(model.model_fields[key].annotation)


def _model(annotation: Any, here: Any) -> type[BaseModel] | None:
    kinds = _models(annotation)
    if len(kinds) > 1:
        kinds = [kind for kind in kinds if entry(here, _tag(kind)[0]) in _tag(kind)[1]]
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
