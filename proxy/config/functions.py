"""The configuration's section ``functions``."""

from __future__ import annotations

import re

from pydantic import Field, field_validator

from proxy.config.section import Section
from semantic.model.typenames import parse_type

_QUALIFIED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*){1,2}", re.ASCII)


class FunctionConfig(Section):
    """A function of the warehouse that queries over cubes may call."""

    arguments: tuple[str, ...] = Field(default=(), description="PostgreSQL types, in order.")
    returns: str = Field(description="PostgreSQL type of its result.")
    strict: bool = Field(default=False, description="It is NULL where an argument is.")
    volatile: bool = Field(default=False, description="It may give another value each time.")
    leakproof: bool = Field(
        default=False,
        description="What PostgreSQL's catalog says of it; policies do not rest on it.",
    )
    data_sources: dict[str, str] = Field(
        min_length=1,
        description="Its name there, by data source: `schema.function`. Others refuse it (42501).",
    )

    @field_validator("arguments", "returns")
    @classmethod
    def _types(cls, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        for text in (value,) if isinstance(value, str) else value:
            kind = parse_type(text)
            if kind is None or kind.is_array or kind.modifier != -1:
                raise ValueError(
                    f"{text!r} is no plain type of PostgreSQL, such as numeric or text"
                )
        return value

    @field_validator("data_sources")
    @classmethod
    def _names(cls, value: dict[str, str]) -> dict[str, str]:
        for name in value.values():
            if _QUALIFIED.fullmatch(name) is None:
                raise ValueError(
                    f"{name!r} is no function's name with its schema, such as analytics.score"
                )
        return value
