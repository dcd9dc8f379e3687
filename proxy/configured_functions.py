"""From the configuration's functions to those that the compiler and the catalog know."""

from __future__ import annotations

import re
from collections.abc import Mapping

from sqlglot import exp, parse_one
from sqlglot.errors import ParseError

from proxy.config import Config
from proxy.config.functions import FunctionConfig
from semantic.compiler.expressions import FROM_FUNCTIONS, FROM_SPLITS
from semantic.compiler.expressions.signatures.catalogue import FUNCTIONS, MARKERS
from semantic.compiler.expressions.syntax import QUANTIFIERS, SPELLINGS
from semantic.model.functions import ConfiguredFunction, names_by_source
from semantic.model.typenames import parse_type

_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_TAKEN = {*FUNCTIONS, *MARKERS, *QUANTIFIERS, *SPELLINGS, *FROM_FUNCTIONS, *FROM_SPLITS}


class FunctionsError(Exception):
    """A function cannot be added; ``str`` is a report for the terminal."""


def configured_functions(config: Config) -> tuple[ConfiguredFunction, ...]:
    """The functions of the configuration.

    Raises:
        FunctionsError: a name is none or is taken, or a data source is unknown.
    """
    return tuple(
        _configured(name, function, config.data_sources)
        for name, function in config.functions.items()
    )


def _configured(
    name: str, function: FunctionConfig, sources: Mapping[str, object]
) -> ConfiguredFunction:
    if _NAME.fullmatch(name) is None:
        raise FunctionsError(
            f"functions.{name}: a name is of lower-case letters, digits and underscores"
        )
    if name in _TAKEN or not _is_plain_call(name):
        raise FunctionsError(f"functions.{name}: there is a function or a key word of this name")
    for source in function.data_sources:
        if source not in sources:
            known = ", ".join(sources) or "none"
            raise FunctionsError(
                f"functions.{name}: no data source {source!r} is configured (known: {known})"
            )
    return ConfiguredFunction(
        name,
        tuple(map(_type_name, function.arguments)),
        _type_name(function.returns),
        function.strict,
        function.volatile,
        function.leakproof,
        names_by_source(function.data_sources),
    )


def _is_plain_call(name: str) -> bool:
    """Whether the parser makes nothing else of a call."""
    try:
        found = parse_one(f"SELECT {name}(1)", read="postgres").find(exp.Anonymous)
    except ParseError:
        return False
    return found is not None and found.this == name


def _type_name(text: str) -> str:
    kind = parse_type(text)
    assert kind is not None  # the configuration was checked
    return kind.name
