"""COPY (query) TO STDOUT in text, csv and binary."""

from __future__ import annotations

from proxy.engine import Engine
from proxy.errors import SessionError
from proxy.queries import Caller, CatalogQuery, CubeQuery
from proxy.rows.copying import CopyEncoder, CopyOptions
from proxy.session.portal import Portal
from proxy.session.results import CopyRows
from proxy.sources import ENCODE_INLINE_ROWS, BatchSource, in_encoder
from semantic.compiler import statements as sql


class BatchChunks:
    """Arrow batches as COPY data, with the header before and the trailer after."""

    def __init__(self, source: BatchSource, encoder: CopyEncoder) -> None:
        self._source = source
        self._encoder = encoder
        self._header: bytes | None = encoder.header()
        self._ended = False

    async def next_chunk(self) -> tuple[bytes, int] | None:
        """See ``CopyChunks``."""
        if self._header:
            header, self._header = self._header, None
            return header, 0
        if self._ended:
            return None
        batch = await self._source.next_batch()
        if batch is None:
            self._ended = True
            trailer = self._encoder.trailer()
            return (trailer, 0) if trailer else None
        if batch.num_rows <= ENCODE_INLINE_ROWS:
            return self._encoder.encode(batch), batch.num_rows
        self._source.fetch_ahead()
        return await in_encoder(self._encoder.encode, batch), batch.num_rows

    def tag(self, sent: int) -> str:
        """See ``CopyChunks``."""
        return f"COPY {sent}"

    async def close(self) -> None:
        """See ``CopyChunks``."""
        await self._source.close()


async def open_copy(
    engine: Engine,
    caller: Caller,
    portal: Portal,
    query: CubeQuery | CatalogQuery | None,
    statement: sql.CopyOut,
) -> CopyRows:
    """Start a COPY TO STDOUT.

    Args:
        query: the portal's, as it is to be run now.

    Raises 42703 for a FORCE_QUOTE column that the query does not return.
    """
    binary = statement.options.format == "binary"
    if isinstance(query, CatalogQuery):
        source = await engine.open_catalog_copy(portal.prepared.text, caller)
        formats = source.result.copy_formats or ()
        return CopyRows(source, int(binary), len(formats), source.result.notices)
    if not isinstance(query, CubeQuery):
        raise SessionError("XX000", "a query was not prepared")
    batches = await engine.open_batches(query, portal.values, caller)
    encoder = engine.copy_encoder(query, copy_options(statement.options), caller)
    return CopyRows(BatchChunks(batches, encoder), int(binary), len(query.fields))


def copy_options(options: sql.CopyOptions) -> CopyOptions:
    """The statement's options as the encoder takes them."""
    return CopyOptions(
        format=options.format,
        delimiter=options.delimiter,
        null=options.null,
        header=options.header,
        quote=options.quote,
        escape=options.escape,
        force_quote=options.force_quote,
    )
