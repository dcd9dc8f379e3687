"""Bytes that came and are not yet used up."""

from __future__ import annotations


class ReceiveBuffer:
    """Appending and taking from the front, both in time linear in the bytes moved.

    A chunk that finds the buffer empty is kept as it is. A rest is turned into a bytearray, whose
    front is cut off without moving what stays.

    Attributes:
        data: the chunk in use.
        start: offset in it of the first unused byte.
    """

    __slots__ = ("data", "start")

    def __init__(self) -> None:
        self.data: bytes | bytearray = b""
        self.start = 0

    def __len__(self) -> int:
        return len(self.data) - self.start

    def append(self, chunk: bytes) -> None:
        """Add bytes at the end."""
        data = self.data
        if self.start == len(data):
            self.data = bytes(chunk)
        elif isinstance(data, bytearray):
            del data[: self.start]
            data += chunk
        else:
            self.data = bytearray(memoryview(data)[self.start :])
            self.data += chunk
        self.start = 0

    def clear(self) -> None:
        """Forget everything."""
        self.data = b""
        self.start = 0
