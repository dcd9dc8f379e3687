"""What a session needs of the connection that carries it."""

from __future__ import annotations

from typing import Protocol


class Client(Protocol):
    """The other end. Bytes sent are buffered until ``flush`` or ``drain``, or the session waits."""

    def send(self, data: bytes | memoryview) -> None:
        """Queue whole messages."""

    def hold(self) -> None:
        """More follows at once: what is queued waits for it, though the session may wait."""

    def flush(self) -> None:
        """Hand what is queued to the transport."""

    async def drain(self) -> None:
        """Flush, and wait while the client is not reading; also let others have their turn.

        Raises ConnectionError when it is gone or has read nothing for the write timeout.
        """


class Neighbours(Protocol):
    """The other connections of this server, for the functions that act on them."""

    def cancel_backend(self, process_id: int, user: str) -> bool:
        """Cancel what a connection of the same user runs. False where there is no such one."""

    def terminate_backend(self, process_id: int, user: str) -> bool:
        """End a connection of the same user. False where there is no such one."""
