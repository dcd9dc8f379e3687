"""The model in service: all statements begin with it, and a reload replaces it whole.

The catalog for everybody is altered in place, so that OIDs survive. Between that and the moment in
which statements are compiled for the new version, what PostgreSQL says of a statement would not fit
what is compiled: statements that are being analysed wait for the end of it, and begin again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from proxy.errors import SessionError
from proxy.generation import Generation
from proxy.scopes import Scope, ScopeSource
from semantic.security.context import SecurityContext

MOST_CHANGES = 20
"""How often one statement begins again because the model has been replaced meanwhile."""


class ModelChangedError(SessionError):
    """The model was replaced while a statement was being understood: begin again (40001)."""

    def __init__(self) -> None:
        super().__init__(
            "40001",
            "the model was replaced while the statement was being understood",
            hint="Run the statement again.",
        )


class ServedScopes:
    """The scopes of the model in service.

    Attributes:
        serial: counts replacements: what was opened under another one is out of date.
    """

    def __init__(self, scopes: ScopeSource) -> None:
        self._scopes = scopes
        self.serial = 0
        self._still = asyncio.Event()
        self._still.set()

    @property
    def generation(self) -> Generation:
        """See ``ScopeSource``."""
        return self._scopes.generation

    @property
    def source(self) -> ScopeSource:
        """The scopes themselves."""
        return self._scopes

    async def open(self, context: SecurityContext) -> Scope:
        """See ``ScopeSource``."""
        return await self._scopes.open(context)

    def holds(self, scope: Scope) -> bool:
        """Whether the catalog for everybody shows what this scope of it was made for."""
        return self._still.is_set() and scope.whole is self.generation

    async def settled(self) -> None:
        """Wait while the catalog for everybody is being altered."""
        await self._still.wait()

    @asynccontextmanager
    async def changing(self) -> AsyncIterator[None]:
        """The catalog for everybody is altered meanwhile; ``replace`` belongs inside."""
        self._still.clear()
        try:
            yield
        finally:
            self._still.set()

    def replace(self, scopes: ScopeSource) -> None:
        """Serve another model to every statement that begins from now on."""
        self._scopes = scopes
        self.serial += 1
