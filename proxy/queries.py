"""Analysed queries: what the engine knows of a SELECT before it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from proxy.wire.backend import FieldDescription
from proxy.wire.oids import BY_OID, TYPES
from semantic.compiler.api import Analysis, CompiledStatement, SessionSettings
from semantic.errors import UnsupportedError
from semantic.model.types import TEXT, PostgresType


@dataclass(frozen=True, slots=True)
class Caller:
    """On whose behalf a statement runs, and with which settings.

    Attributes:
        user: the login.
        backend_pid: the process id this connection was announced.
        overlay: settings that differ from a fresh catalog backend's.
        semantic: the settings that the compiler reads.
        statement_timeout: seconds, None for no limit.
    """

    user: str
    backend_pid: int
    overlay: Mapping[str, str]
    semantic: SessionSettings
    statement_timeout: float | None = None

    def fingerprint(self) -> tuple[object, ...]:
        """What an analysed or compiled statement depends on besides its text."""
        relevant = sorted(item for item in self.overlay.items() if item[0] != "application_name")
        return (self.semantic, tuple(relevant))


@dataclass(frozen=True, slots=True, eq=False)
class CubeQuery:
    """A query over cubes.

    Attributes:
        plan: compiled; or why it could not be without the values of its text parameters, which
            ``Engine.settle`` then tries with.
    """

    sql: str
    analysis: Analysis
    plan: CompiledStatement | UnsupportedError
    fields: tuple[FieldDescription, ...]
    parameter_oids: tuple[int, ...]
    fingerprint: tuple[object, ...]

    @property
    def compiled(self) -> CompiledStatement:
        """What to run. Raises 0A000 where only the values of parameters could have made it so."""
        if isinstance(self.plan, UnsupportedError):
            raise self.plan
        return self.plan


@dataclass(frozen=True, slots=True, eq=False)
class CatalogQuery:
    """A query that the catalog PostgreSQL answers."""

    sql: str
    fields: tuple[FieldDescription, ...] | None
    parameter_oids: tuple[int, ...]


def type_of(oid: int, modifier: int = -1) -> PostgresType:
    """The semantic layer's name of a type by its OID; an unknown one is ``oid:N``."""
    info = BY_OID.get(oid)
    return PostgresType(info.name if info else f"oid:{oid}", modifier)


def field_of(name: str, kind: PostgresType) -> FieldDescription:
    """A RowDescription field of a computed column: no table, its format chosen later."""
    info = TYPES[kind.name]
    return FieldDescription(name, 0, 0, info.oid, info.size, kind.modifier, 0)


def text_field(name: str) -> FieldDescription:
    """A column of type text."""
    return field_of(name, TEXT)


def with_formats(
    fields: Sequence[FieldDescription], formats: Sequence[int]
) -> tuple[FieldDescription, ...]:
    """The fields as they are described once the format of each column is chosen."""
    if not any(formats):
        return tuple(fields)
    return tuple(replace(field, format=code) for field, code in zip(fields, formats, strict=True))
