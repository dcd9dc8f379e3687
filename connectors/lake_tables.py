"""Tables that are files: what they are at one moment, as a SELECT that DuckDB understands."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import duckdb

from connectors.lake_files import LakeFiles
from connectors.options import ConnectorOptionsError
from connectors.rollup_store import quoted

WITH_NAN = ", can_have_nan = true"
"""The range that a file gives of its numbers is without NaN: DuckDB would leave out rows by it."""
_WILD = re.compile(r"[*?[]")

Column = tuple[str, str]
"""A name, and a type as DuckDB writes it."""


@dataclass(frozen=True, slots=True)
class LakeSnapshot:
    """A table at one moment.

    Attributes:
        version: another one whenever the rows may be others.
        sql: a SELECT of them.
    """

    version: str
    sql: str


class LakeTable(Protocol):
    """One table, looked at now and again. Blocking; one thread at a time."""

    @property
    def places(self) -> Sequence[LakeFiles]:
        """Where its files are; known when it has been looked at once."""

    def snapshot(
        self, connection: duckdb.DuckDBPyConnection, known: LakeSnapshot | None
    ) -> LakeSnapshot:
        """What the table is now; ``known`` itself where it is still the same.

        Raises ConnectorOptionsError for what cannot be read rightly, and the library's own errors.
        """


class ParquetTable:
    """Parquet files that a pattern names, all of the same columns.

    Args:
        partitions: by the names of folders such as ``region=EU``, the types of their values.
    """

    def __init__(self, files: LakeFiles, partitions: Mapping[str, str]) -> None:
        self.places = (files,)
        self._files = files
        self._partitions = partitions

    def snapshot(
        self, connection: duckdb.DuckDBPyConnection, known: LakeSnapshot | None
    ) -> LakeSnapshot:
        """See LakeTable."""
        found = self._files.matching()
        if not found:
            raise ConnectorOptionsError(f"there is no file {self._files.url}")
        version = hashlib.sha256(repr(found).encode()).hexdigest()[:32]
        if known is not None and known.version == version:
            return known
        options = ", hive_partitioning = false"
        if self._partitions:
            kinds = ", ".join(
                f"{quoted(name)}: {kind.upper()}" for name, kind in self._partitions.items()
            )
            options = f", hive_partitioning = true, hive_types = {{{kinds}}}"
        paths = [path for path, _ in found]
        return LakeSnapshot(
            version, f"SELECT * FROM read_parquet({files(paths)}{WITH_NAN}{options})"
        )


def text(value: str) -> str:
    """A literal."""
    return "'" + value.replace("'", "''") + "'"


def literal_path(path: str) -> str:
    """A pattern that DuckDB finds nothing by but this file, whatever is in its name."""
    return _WILD.sub(r"[\g<0>]", path)


def files(paths: Sequence[str]) -> str:
    """A list of files, as read_parquet takes one."""
    return f"[{', '.join(text(literal_path(path)) for path in paths)}]"


def by_schema(paths: Sequence[str], columns: Mapping[str | int, Column]) -> str:
    """Files read by the names, or by the numbers, that the fields have in them.

    What a file lacks is NULL, as the formats want it of columns that were added later.
    """
    fields = ", ".join(
        f"{text(key) if isinstance(key, str) else key}: "
        f"{{name: {text(name)}, type: {text(kind)}, default_value: NULL}}"
        for key, (name, kind) in columns.items()
    )
    return f"read_parquet({files(paths)}{WITH_NAN}, schema = MAP {{{fields}}})"


def empty(columns: Sequence[Column]) -> str:
    """A table of no rows."""
    fields = ", ".join(f"CAST(NULL AS {kind}) AS {quoted(name)}" for name, kind in columns)
    return f"SELECT {fields} WHERE false"


def refuse(table: str, what: str, hint: str = "") -> ConnectorOptionsError:
    """A table that would be read wrongly."""
    return ConnectorOptionsError(f"{table}: {what}" + (f"; {hint}" if hint else ""))


def storage_options(options: Mapping[str, Any]) -> dict[str, str]:
    """Options of a metadata library, which takes texts only."""
    return {key: str(value) for key, value in options.items()}
