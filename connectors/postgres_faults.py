"""What asyncpg raises where its connection breaks, or cannot be made."""

from __future__ import annotations

import asyncpg

# ConnectionDoesNotExistError is its own, not the server's: 08003 would say that nobody has
# connected. InternalClientError is what follows a farewell of the server's that has come before the
# first statement.
BROKEN = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.ConnectionDoesNotExistError,
    asyncpg.InternalClientError,
)
"""To be caught before PostgresError, which is what the server itself has said."""
