"""Analysed queries: what the engine knows of a SELECT before it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from proxy.cache.results import Mode
from proxy.catalog.private import PrivateResult
from proxy.catalog.results import CatalogAnalysis, CatalogResult
from proxy.progress import Progress
from proxy.rollups.view import DEFAULT_CHOICE, NO_ROLLUPS, RollupChoice, RollupUse
from proxy.rows.records import Record
from proxy.rows.settings import TextSettings
from proxy.scopes import Scope
from proxy.wire.backend import FieldDescription
from proxy.wire.oids import BY_OID, TYPES
from semantic.compiler.api import (
    Analysis,
    CompiledStatement,
    ResultColumn,
    SessionSettings,
    TemporaryColumn,
    TemporaryTable,
)
from semantic.compiler.positions import EditedText
from semantic.errors import UnsupportedError
from semantic.model.types import TEXT, PostgresType
from semantic.security.context import SecurityContext

CACHE = "cubewire.cache"
_NO_MATTER = frozenset(("application_name", CACHE))
"""Settings that change neither what a statement means nor how its rows are written."""


class OwnBackend(Protocol):
    """A session's own backend of the catalog PostgreSQL, which holds its temporary tables."""

    def concerns(self, sql: str) -> bool:
        """Whether a statement may name one of the tables."""

    async def named_in(self, sql: str) -> tuple[TemporaryTable, ...]:
        """The tables that a statement may name."""

    @property
    def schema(self) -> str:
        """The temporary schema's own name."""

    async def analyse(self, sql: str, parameter_oids: Sequence[int]) -> CatalogAnalysis:
        """As ``Catalog.analyse``."""

    async def open(
        self,
        sql: str,
        parameter_oids: Sequence[int] = (),
        parameter_formats: Sequence[int] = (),
        parameters: Sequence[bytes | None] = (),
        result_formats: Sequence[int] = (),
    ) -> PrivateResult:
        """Run one statement."""

    async def provide(self, settings: Mapping[str, str]) -> None:
        """Give the transaction at hand settings that are not the session's."""

    async def copy_out(self, sql: str) -> CatalogResult:
        """Run COPY ... TO STDOUT."""

    async def arrays(
        self, columns: Sequence[TemporaryColumn], *, text: bool
    ) -> tuple[bytes | None, ...]:
        """The values of columns, each as one array in text or binary format."""


@dataclass(frozen=True, slots=True)
class Caller:
    """On whose behalf a statement runs, and with which settings.

    Attributes:
        user: ``session_user``, as whom the catalog is asked.
        backend_pid: the process id this connection was announced.
        overlay: settings that differ from a fresh catalog backend's.
        semantic: the settings that the compiler reads.
        security: who asks, for access policies.
        scope: what exists for them; ``semantic.access`` is its access.
        statement_timeout: seconds, None for no limit.
        cache: how the session wants results to be cached.
        own: the backend that holds the session's temporary tables, where it has any.
        rollup_choice: what the session wants of pre-aggregations.
        rollups: which of them the statement at hand may be answered from.
        progress: the statement at hand, told how far it has come.
    """

    user: str
    backend_pid: int
    overlay: Mapping[str, str]
    semantic: SessionSettings
    security: SecurityContext
    scope: Scope
    statement_timeout: float | None = None
    cache: Mode = "on"
    own: OwnBackend | None = field(default=None, compare=False)
    rollup_choice: RollupChoice = DEFAULT_CHOICE
    rollups: RollupUse = NO_ROLLUPS
    progress: Progress | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if self.semantic.access != self.scope.access:
            raise ValueError("a statement would be compiled for another's access")

    def fingerprint(self) -> tuple[object, ...]:
        """What an analysed or compiled statement depends on besides its text."""
        relevant = sorted(item for item in self.overlay.items() if item[0] not in _NO_MATTER)
        version = self.scope.generation.version
        return (version, self.semantic, tuple(relevant), self.rollups.token)


@dataclass(frozen=True, slots=True, eq=False)
class CubeQuery:
    """A query over cubes.

    Attributes:
        analysed: what PostgreSQL has analysed in its place.
        as_user: whom it runs for, where the statement itself says so (``__user``).
        plan: compiled; or why it could not be without the values of its text parameters, which
            ``Engine.settle`` then tries with.
    """

    sql: str
    analysis: Analysis
    plan: CompiledStatement | UnsupportedError
    fields: tuple[FieldDescription, ...]
    parameter_oids: tuple[int, ...]
    fingerprint: tuple[object, ...]
    analysed: EditedText
    as_user: str | None = None

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


def record_layout(
    compiled: CompiledStatement, formats: Sequence[int]
) -> tuple[tuple[Record | None, ...], tuple[int, ...]]:
    """How the client's columns are made of those that the warehouse returns, and their formats.

    Args:
        compiled: what runs.
        formats: of the client's columns.
    """
    records = {
        row.index: Record(
            tuple(TYPES[column.type.name].oid for column in row.columns), formats[row.index]
        )
        for row in compiled.rows
    }
    layout = tuple(records.get(index) for index in range(len(formats)))
    inner = [code for item, code in zip(layout, formats, strict=True) if item is None]
    for row in compiled.rows:
        inner += [formats[row.index]] * len(row.columns)
    return layout, tuple(inner)


def refuse_whole_rows(query: CubeQuery, where: str) -> None:
    """Raises 0A000 for whole rows among the columns, where something else than rows is made."""
    if query.compiled.rows:
        raise UnsupportedError(
            f"a whole row in {where} is not supported", hint="Name the columns that are meant."
        )


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


def analysis_of(answer: CatalogAnalysis) -> Analysis:
    """The same in the semantic layer's types."""
    return Analysis(
        tuple(type_of(oid) for oid in answer.parameter_oids),
        tuple(ResultColumn(name, type_of(oid, mod)) for name, oid, mod in answer.columns),
    )


def cube_query(
    sql: str,
    analysed: EditedText,
    analysis: Analysis,
    plan: CompiledStatement | UnsupportedError,
    answer: CatalogAnalysis,
    caller: Caller,
) -> CubeQuery:
    """A query over cubes that has been analysed and compiled."""
    fields = tuple(relayed_field(*column) for column in answer.columns)
    oids = tuple(answer.parameter_oids)
    return CubeQuery(sql, analysis, plan, fields, oids, caller.fingerprint(), analysed)


def relayed_field(name: str, oid: int, modifier: int) -> FieldDescription:
    """A column of the catalog's, of whatever type."""
    kind = type_of(oid, modifier)
    if kind.name in TYPES:
        return field_of(name, kind)
    return FieldDescription(name, 0, 0, oid, -1, modifier, 0)


def text_settings(caller: Caller) -> TextSettings:
    """How the session wants values written."""
    overlay = caller.overlay
    defaults = TextSettings()
    return replace(
        defaults,
        time_zone=caller.semantic.time_zone,
        date_style=overlay.get("DateStyle", defaults.date_style),
        interval_style=overlay.get("IntervalStyle", defaults.interval_style),
        extra_float_digits=int(overlay.get("extra_float_digits", defaults.extra_float_digits)),
        bytea_output=overlay.get("bytea_output", defaults.bytea_output),
    )
