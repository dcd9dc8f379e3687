"""COPY ... TO STDOUT: CopyData messages in text, csv and binary (manual, COPY, "File Formats").

One message per row, as PostgreSQL sends them. Options are taken as checked.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from proxy.rows.cells import Cells, Rows, binaries, constant, flags, flat, sizes, variable_lengths
from proxy.rows.codecs import BINARY, TEXT, codec, conform
from proxy.rows.encoder import column_messages
from proxy.rows.errors import RowsError
from proxy.rows.settings import TextSettings

_DEFAULTS = TextSettings()
_SIGNATURE = b"PGCOPY\n\xff\r\n\0" + struct.pack("!ii", 0, 0)
_TRAILER = struct.pack("!h", -1)
# Types whose text has nothing but these characters.
_PLAIN_TYPES = frozenset(
    {"bool", "int2", "int4", "int8", "oid", "float4", "float8", "numeric", "date", "time", "timetz"}
    | {"timestamp", "timestamptz", "interval", "uuid"}
)
_PLAIN = re.compile(r"[A-Za-z0-9 +./:@-]*")
_CONTROLS = {"\b": "b", "\f": "f", "\n": "n", "\r": "r", "\t": "t", "\v": "v"}


@dataclass(frozen=True, slots=True)
class CopyOptions:
    """Options of COPY TO.

    Attributes:
        format: ``text``, ``csv`` or ``binary``.
        delimiter: one byte between values; None is the format's own.
        null: what stands for NULL; None is the format's own.
        header: a first line with the names of columns.
        quote: csv's quote.
        escape: what stands before a quote in a quoted value.
        force_quote: columns of a csv that are always quoted; None is all.
    """

    format: str = "text"
    delimiter: str | None = None
    null: str | None = None
    header: bool = False
    quote: str = '"'
    escape: str = '"'
    force_quote: tuple[str, ...] | None = ()

    @property
    def between(self) -> str:
        """The delimiter."""
        if self.delimiter is not None:
            return self.delimiter
        return "," if self.format == "csv" else "\t"

    @property
    def nothing(self) -> str:
        """What stands for NULL."""
        if self.null is not None:
            return self.null
        return "" if self.format == "csv" else "\\N"


def _present(texts: pa.Array, characters: str) -> str:
    """Those ASCII characters that occur anywhere in a binary array."""
    buffer = texts.buffers()[2]
    if buffer is None:
        return ""
    data = np.frombuffer(buffer, np.uint8)
    wanted = np.zeros(256, np.bool_)
    wanted[list(characters.encode())] = True
    found = data[wanted.take(data)]
    return "".join(chr(code) for code in np.unique(found))


class _TextLayout:
    """Values between delimiters, with backslashes before what would be misread."""

    def __init__(self, options: CopyOptions, columns: int) -> None:
        self._special = "\\" + "".join(_CONTROLS) + options.between

    def inert(self, options: CopyOptions) -> bool:
        """Whether a plain value never changes."""
        return _PLAIN.fullmatch(options.between) is None

    def column(self, texts: pa.Array, forced: bool) -> pa.Array:
        present = _present(texts, self._special)
        for character in sorted(present, key=lambda one: one != "\\"):
            escaped = "\\" + _CONTROLS.get(character, character)
            texts = pc.replace_substring(texts, character.encode(), escaped.encode())
        return texts


class _CsvLayout:
    """Values between delimiters, in quotes where they need it."""

    def __init__(self, options: CopyOptions, columns: int) -> None:
        self._quote, self._escape = options.quote.encode(), options.escape.encode()
        self._special = options.between + options.quote + "\n\r"
        self._null = options.nothing.encode()
        self._alone = columns == 1

    def inert(self, options: CopyOptions) -> bool:
        """Whether a plain value never changes."""
        if options.nothing and _PLAIN.fullmatch(options.nothing):
            return False
        return not any(_PLAIN.fullmatch(one) for one in (options.between, options.quote))

    def column(self, texts: pa.Array, forced: bool) -> pa.Array:
        if forced:
            return self._quoted(texts)
        needed = pc.equal(texts, constant(self._null, texts.type))
        if self._alone:
            needed = pc.or_(needed, pc.equal(texts, constant(b"\\.", texts.type)))
        for character in _present(texts, self._special):
            needed = pc.or_(needed, pc.match_substring(texts, character.encode()))
        if not pc.any(needed).as_py():
            return texts
        return pc.if_else(needed, self._quoted(texts), texts)

    def _quoted(self, texts: pa.Array) -> pa.Array:
        inside = texts
        if self._escape != self._quote:
            inside = pc.replace_substring(inside, self._escape, self._escape * 2)
        inside = pc.replace_substring(inside, self._quote, self._escape + self._quote)
        quote, nothing = constant(self._quote, texts.type), constant(b"", texts.type)
        return pc.binary_join_element_wise(quote, inside, quote, nothing)


class CopyEncoder:
    """Encodes the batches of one COPY.

    Args:
        type_names: ``pg_type.typname`` of each column.
        column_names: names, for the header and for FORCE_QUOTE.
        options: the statement's.
        settings: the session's settings that change the text of values.

    Raises:
        RowsError: 42703 where FORCE_QUOTE names no column.
    """

    def __init__(
        self,
        type_names: Sequence[str],
        column_names: Sequence[str],
        options: CopyOptions,
        settings: TextSettings = _DEFAULTS,
    ) -> None:
        self._options = options
        self._names = tuple(column_names)
        self._binary = options.format == "binary"
        form = BINARY if self._binary else TEXT
        self._codecs = tuple(codec(name, form, settings) for name in type_names)
        for name in options.force_quote or ():
            if name not in self._names:
                raise RowsError("42703", f'column "{name}" does not exist')
        layout = _CsvLayout if options.format == "csv" else _TextLayout
        self._layout = layout(options, len(self._names))
        inert = self._layout.inert(options)
        self._forced = tuple(
            options.format == "csv" and (options.force_quote is None or name in options.force_quote)
            for name in self._names
        )
        self._plain = tuple(inert and name in _PLAIN_TYPES for name in type_names)
        # PostgreSQL sends the signature together with the first row, or with the trailer.
        self._pending = _SIGNATURE if self._binary else b""

    def header(self) -> bytes:
        """The message of the header line, nothing where there is none."""
        if self._binary or not self._options.header:
            return b""
        names = binaries([name.encode() for name in self._names])
        line = self._options.between.encode().join(self._layout.column(names, False).to_pylist())
        return _message(line + b"\n")

    def encode(self, batch: pa.RecordBatch) -> bytes:
        """A batch's rows as messages. Raises EncodeError."""
        columns = [
            one.vector(conform(batch.column(index), one.type_name))
            for index, one in enumerate(self._codecs)
        ]
        if not self._binary:
            return self._lines(columns, batch.num_rows)
        data, _ = column_messages(columns, batch.num_rows, b"d")
        if not self._pending or not batch.num_rows:
            return bytes(data)
        (size,) = struct.unpack_from("!i", data, 1)
        first = _message(self._pending + data[5 : size + 1])
        self._pending = b""
        return first + data[size + 1 :]

    def trailer(self) -> bytes:
        """The message after the last row, nothing where there is none."""
        return _message(self._pending + _TRAILER) if self._binary else b""

    def _lines(self, columns: Sequence[Cells], rows: int) -> bytes:
        nothing = self._options.nothing.encode()
        shown = []
        for cells, plain, forced in zip(columns, self._plain, self._forced, strict=True):
            if (plain and not forced) and cells.valid is None:
                shown.append(cells)
                continue
            texts = flat(cells, rows)
            if not plain or forced:
                texts = self._layout.column(texts, forced)
            if cells.valid is not None:
                texts = pc.if_else(flags(cells.valid), texts, constant(nothing, texts.type))
            shown.append(Cells((texts,), variable_lengths(texts)))
        totals = np.full(rows, 5 + max(len(columns), 1), np.int64)
        for cells in shown:
            totals += sizes(cells, rows)
        gathered = Rows(rows)
        gathered.add(b"d")
        gathered.add((totals - 1).astype(">i4"))
        for index, cells in enumerate(shown):
            if index:
                gathered.add(self._options.between.encode())
            gathered.cells(cells)
        gathered.add(b"\n")
        return bytes(gathered.join(int(totals.sum())))


def _message(body: bytes) -> bytes:
    return b"d" + struct.pack("!i", len(body) + 4) + body
