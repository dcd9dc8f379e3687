"""What messages of both directions have in common."""

from __future__ import annotations

from typing import ClassVar, Self

from proxy.wire.codec import Reader, frame


class Message:
    """A protocol message: a frozen value that travels as type byte, length and body.

    Attributes:
        code: the type byte; 0 for the messages that open a connection and have none.
    """

    __slots__ = ()
    code: ClassVar[int] = 0

    def encode(self) -> bytes:
        """The whole message as it travels."""
        return frame(self.code, self._body())

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Read the bytes behind the length field.

        Raises:
            ProtocolViolation: the body is too short, too long or holds what the field may not.
        """
        reader = Reader(body)
        message = cls._read(reader)
        reader.end()
        return message

    def _body(self) -> bytes:
        """The fields as bytes. None, unless a subclass has some."""
        return b""

    @classmethod
    def _read(cls, reader: Reader) -> Self:
        """Build the message from a reader at its first field; nothing may be left over."""
        del reader
        return cls()
