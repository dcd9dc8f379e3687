"""The one door to buenavista, whose small PostgreSQL server came before this one.

Its protocol code is not used: it serves a thread per connection, loses NULL parameters and runs a
statement to describe it. What is taken from it is a second opinion: its table of message codes,
transaction states and type OIDs was written by other hands from the same manual, and a test holds
ours against it. Nothing on the road of a query imports this module.
"""

from __future__ import annotations

from collections.abc import Mapping

from buenavista.core import BVType
from buenavista.postgres import (
    BVTYPE_TO_PGTYPE,
    ClientCommand,
    ServerResponse,
    TransactionStatus,
)


def response_codes() -> Mapping[str, int]:
    """First byte of each backend message, by the message's name in the protocol manual."""
    return _codes(ServerResponse)


def command_codes() -> Mapping[str, int]:
    """First byte of each frontend message, by the message's name in the protocol manual."""
    return _codes(ClientCommand)


def transaction_states() -> Mapping[str, str]:
    """The letter of ReadyForQuery by what it says of the transaction."""
    return {name.lower(): chr(code) for name, code in _constants(TransactionStatus).items()}


def type_oids() -> Mapping[str, int]:
    """OID of the PostgreSQL type that stands for each of buenavista's types, where it has one."""
    return {
        kind.name.lower(): entry[0]
        for kind, entry in BVTYPE_TO_PGTYPE.items()
        if isinstance(kind, BVType) and entry[0] > 0
    }


def _codes(table: type) -> dict[str, int]:
    """``BIND_COMPLETE`` becomes ``BindComplete``."""
    return {
        "".join(word.capitalize() for word in name.split("_")): code
        for name, code in _constants(table).items()
    }


def _constants(table: type) -> dict[str, int]:
    return {
        name: value[0]
        for name, value in vars(table).items()
        if name.isupper() and isinstance(value, bytes)
    }
