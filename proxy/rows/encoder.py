"""Arrow record batches to DataRow messages."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from proxy.rows.cells import Cells, Rows, prefixes, sizes
from proxy.rows.codecs import codec, conform
from proxy.rows.encoded import LONGEST_ROW, EncodedRows, rows_from_lengths, too_long
from proxy.rows.errors import RowsError
from proxy.rows.scalars import small_rows
from proxy.rows.settings import TextSettings

# Up to here a value at a time is faster than a column at a time.
_SMALL = 32
_DEFAULTS = TextSettings()


def column_formats(formats: Sequence[int], columns: int) -> tuple[int, ...]:
    """One format per column from Bind's list: none means text, one means the same for all."""
    if len(formats) <= 1:
        return tuple(formats or (0,)) * columns
    if len(formats) != columns:
        raise RowsError(
            "08P01",
            f"bind message has {len(formats)} result formats but query has {columns} columns",
        )
    return tuple(formats)


class RowEncoder:
    """Encodes the batches of one result.

    Args:
        type_names: ``pg_type.typname`` of each column (``int4``, ``_text``).
        formats: 0 (text) or 1 (binary) of each column, or a list as Bind has it.
        settings: the session's settings that change the text of values.
    """

    def __init__(
        self, type_names: Sequence[str], formats: Sequence[int], settings: TextSettings = _DEFAULTS
    ) -> None:
        forms = column_formats(formats, len(type_names))
        self._codecs = tuple(
            codec(name, form, settings) for name, form in zip(type_names, forms, strict=True)
        )

    def encode(self, batch: pa.RecordBatch) -> EncodedRows:
        """All rows of a batch as DataRow messages. Raises EncodeError."""
        if batch.num_rows <= _SMALL:
            return small_rows(
                [
                    one.scalar(conform(batch.column(index), one.type_name))
                    for index, one in enumerate(self._codecs)
                ],
                batch.num_rows,
            )
        return self.encode_columns(batch)

    def encode_columns(self, batch: pa.RecordBatch) -> EncodedRows:
        """``encode`` in the way of large batches, whatever the number of rows."""
        cells = [
            one.vector(conform(batch.column(index), one.type_name))
            for index, one in enumerate(self._codecs)
        ]
        return rows_from_lengths(*column_messages(cells, batch.num_rows, b"D"))


def column_messages(
    columns: Sequence[Cells], rows: int, kind: bytes
) -> tuple[memoryview, npt.NDArray[np.int64]]:
    """Messages of columns, and their lengths: Byte1, Int32, Int16, per column Int32 and bytes.

    DataRow's layout, which is also that of a row of a binary COPY.
    """
    totals = np.full(rows, 7 + 4 * len(columns), np.int64)
    for cells in columns:
        totals += cells.lengths if cells.valid is None else sizes(cells, rows)
    size = int(totals.sum())
    if size > LONGEST_ROW and totals.max() > LONGEST_ROW:
        raise too_long()
    gathered = Rows(rows)
    gathered.add(kind)
    gathered.add((totals - 1).astype(">i4"))
    gathered.add(struct.pack("!h", len(columns)))
    for cells in columns:
        gathered.add(prefixes(cells))
        gathered.cells(cells)
    return gathered.join(size), totals
