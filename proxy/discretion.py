"""What a caller under access policies is told of a warehouse's errors: the kind, never a value.

A warehouse speaks of the value that it stumbled over, which may be one that a policy hides or
masks, or that its own plan has met before the policy. The whole of it goes to the log, at DEBUG.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import Generic, TypeVar

import pyarrow as pa

from connectors.base import BatchStream, RowStream
from connectors.errors import WarehouseError
from connectors.stage import StageLimitError
from proxy.wire.sqlstates import SQLSTATES

logger = logging.getLogger("cubewire.warehouse")

T = TypeVar("T")

_WITHOUT_VALUES = ("08", "53", "57")
"""Classes of errors that speak of no values: connection, resources, stops."""


def withheld(error: WarehouseError) -> WarehouseError:
    """An error that says what kind it is of, and nothing that the warehouse says."""
    if error.sqlstate.startswith(_WITHOUT_VALUES) or isinstance(error, StageLimitError):
        return error
    logger.debug("%s %s (%s)", error.sqlstate, error.message, error.detail or "")
    kind = SQLSTATES.get(error.sqlstate, "internal_error").replace("_", " ")
    return WarehouseError(
        error.sqlstate,
        kind,
        hint="What the warehouse says of it is withheld, since access policies apply to you.",
        reached=error.reached,
    )


class _Discreet(Generic[T]):
    """A stream whose errors are withheld."""

    def __init__(self, items: AsyncIterator[T]) -> None:
        self._items = items

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        try:
            return await anext(self._items)
        except WarehouseError as error:
            raise withheld(error) from None


class DiscreetBatches(_Discreet[pa.RecordBatch]):
    """See ``BatchStream``."""

    def __init__(self, stream: BatchStream) -> None:
        super().__init__(aiter(stream))
        self._stream = stream

    @property
    def schema(self) -> pa.Schema:
        """See ``BatchStream``."""
        return self._stream.schema

    async def close(self) -> None:
        """See ``BatchStream``."""
        await self._stream.close()


class DiscreetRows(_Discreet[tuple[bytes, int]]):
    """See ``RowStream``."""

    def __init__(self, stream: RowStream) -> None:
        super().__init__(aiter(stream))
        self._stream = stream

    @property
    def type_oids(self) -> tuple[int, ...]:
        """See ``RowStream``."""
        return self._stream.type_oids

    async def close(self) -> None:
        """See ``RowStream``."""
        await self._stream.close()
