"""What the engine and the sessions need of a catalog, whether it runs already or not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from proxy.catalog.backend import CatalogBackend
from proxy.catalog.private import PrivateBackend
from proxy.catalog.results import CatalogAnalysis


class CatalogFace(Protocol):
    """A catalog; see ``Catalog``."""

    async def analyse(
        self,
        sql: str,
        parameter_oids: Sequence[int],
        settings: Mapping[str, str],
        user: str,
        position: Callable[[int], int] | None = None,
    ) -> CatalogAnalysis:
        """Parameter types and result columns of one statement, which is not run."""

    def lease(
        self, user: str, settings: Mapping[str, str], extra: Mapping[str, str] | None = None
    ) -> AbstractAsyncContextManager[CatalogBackend]:
        """A backend of ``user`` with exactly these settings."""

    async def open_private(
        self, user: str, backend_pid: int, role: str | None = None
    ) -> PrivateBackend:
        """A backend of ``user`` for one session alone; its user closes it."""

    def temporary_bytes(self, schema: str) -> int | None:
        """Bytes on disk of what is in a temporary schema; None where that cannot be seen."""
