"""The probes themselves, before login and after it."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence

from proxy.wire import frontend as f
from tests.support.addresses import Address
from tests.support.probes import ANSWER, ASKED, HANG_UP, Probe, Step

SSL = f.SSLRequest().encode()
GSS = f.GSSENCRequest().encode()
NOTHING_MORE: Mapping[str, str] = {}


def opening(version: tuple[int, int], rest: bytes, length: int | None = None) -> bytes:
    """A message without type byte, with a length of our choice."""
    size = len(rest) + 8 if length is None else length
    return struct.pack(">iHH", size, *version) + rest


def message(code: str, body: bytes, length: int | None = None) -> bytes:
    """A message with type byte, with a length of our choice."""
    return struct.pack(">ci", code.encode(), len(body) + 4 if length is None else length) + body


def start(address: Address, minor: int = 0, more: Mapping[str, str] = NOTHING_MORE) -> bytes:
    """A StartupMessage of the address's login."""
    parameters = {"user": address.user, "database": address.database, **more}
    return f.StartupMessage(3, minor, parameters).encode()


USER = b"user\0demo\0"
_BEFORE: Mapping[str, Callable[[Address], Sequence[Step]]] = {
    "silence, then gone": lambda _: [HANG_UP],
    "noise": lambda _: [bytes(range(255, 200, -1))],
    "zeros": lambda _: [bytes(64)],
    "length zero": lambda _: [opening((3, 0), b"", 0)],
    "length negative": lambda _: [opening((3, 0), b"", -1)],
    "length without version": lambda _: [struct.pack(">i", 4)],
    "length of half a version": lambda _: [struct.pack(">iH", 6, 3)],
    "length of two gibibytes": lambda _: [opening((3, 0), USER, 2**31 - 1)],
    "one byte over the limit": lambda _: [opening((3, 0), USER + bytes(9987), 10_005)],
    "at the limit": lambda a: [start(a, 0, {"application_name": "x" * 9_000})],
    "http": lambda _: [b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"],
    "ssh": lambda _: [b"SSH-2.0-OpenSSH_9.6\r\n"],
    "broken TLS hello": lambda _: [b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03" + bytes(32)],
    "TLS asked for twice": lambda _: [SSL, ANSWER, SSL],
    "GSSAPI asked for twice": lambda _: [GSS, ANSWER, GSS],
    "GSSAPI, then startup": lambda a: [GSS, ANSWER, start(a)],
    "TLS asked for after GSSAPI": lambda _: [GSS, ANSWER, SSL, ANSWER, HANG_UP],
    "startup stuffed behind TLS": lambda a: [SSL + start(a), ANSWER],
    "startup stuffed behind GSSAPI": lambda a: [GSS + start(a), ANSWER],
    "query before startup": lambda _: [f.Query("SELECT 1").encode()],
    "password before startup": lambda _: [f.PasswordMessage("demo").encode()],
    "cancel of nobody": lambda _: [f.CancelRequest(2**31 - 1, b"\1\2\3\4").encode()],
    "cancel without key": lambda _: [opening((1234, 5678), struct.pack(">i", 1))],
    "cancel with half a key": lambda _: [opening((1234, 5678), struct.pack(">iH", 1, 2))],
    "cancel with a long key": lambda _: [f.CancelRequest(1, bytes(300)).encode()],
    "request nobody knows": lambda _: [opening((1234, 5555), b"")],
    "protocol 0.0": lambda _: [opening((0, 0), b"\0")],
    "protocol 1.0": lambda _: [opening((1, 0), b"\0")],
    "protocol 2.0": lambda _: [opening((2, 0), bytes(288))],
    "protocol 4.0": lambda _: [opening((4, 0), USER + b"\0")],
    "protocol 3.9": lambda a: [start(a, 9)],
    "protocol 3.2": lambda a: [start(a, 2)],
    "option nobody knows": lambda a: [start(a, 0, {"_pq_.command": "1"})],
    "no parameters": lambda _: [opening((3, 0), b"")],
    "no user": lambda _: [opening((3, 0), b"database\0cubewire\0\0")],
    "empty user": lambda _: [opening((3, 0), b"user\0\0\0")],
    "no terminator": lambda _: [opening((3, 0), USER)],
    "name without value": lambda _: [opening((3, 0), USER + b"database\0")],
    "unterminated value": lambda _: [opening((3, 0), USER + b"database\0cub")],
    "bytes behind the terminator": lambda _: [opening((3, 0), USER + b"\0more\0")],
    "half a startup, then gone": lambda a: [start(a)[:-9], HANG_UP],
    "second startup instead of password": lambda a: [start(a), ASKED, start(a)],
    "second startup in the same write": lambda a: [start(a) + start(a)],
    "query instead of password": lambda a: [start(a), ASKED, f.Query("SELECT 1").encode()],
    "goodbye instead of password": lambda a: [start(a), ASKED, f.Terminate().encode()],
    "TLS instead of password": lambda a: [start(a), ASKED, SSL],
    "giant password": lambda a: [start(a), ASKED, message("p", b"", 2**30)],
    "negative password": lambda a: [start(a), ASKED, message("p", b"", -5)],
    "empty SASL answer": lambda a: [start(a), ASKED, message("p", b"")],
    "SASL mechanism nobody knows": lambda a: [
        start(a),
        ASKED,
        f.SASLInitialResponse("CRAM-MD5", b"hi").encode(),
    ],
    "SASL length beyond the end": lambda a: [
        start(a),
        ASKED,
        message("p", b"SCRAM-SHA-256\0\0\0\xff\xffn,,n=,r=x"),
    ],
    "SASL that is no SCRAM": lambda a: [
        start(a),
        ASKED,
        f.SASLInitialResponse("SCRAM-SHA-256", b"\xff\0garbage").encode(),
    ],
    "password, then gone": lambda a: [start(a), ASKED, HANG_UP],
}


PARSE_FAILING = f.Parse("", "SELECT nosuchcolumn").encode()


TEXT = b"SELECT 1\0"
ONE = f.Parse("", "SELECT $1::text").encode()
NONE = f.Parse("", "SELECT 1").encode()
_AFTER: Mapping[str, bytes] = {
    "type byte nobody knows": message("!", b""),
    "type byte zero": bytes(5),
    "second startup": f.StartupMessage(3, 0, {"user": "postgres"}).encode(),
    "TLS after login": SSL,
    "password after login": f.PasswordMessage("demo").encode(),
    "message of a server": message("Z", b"I"),
    "query of length 3": message("Q", b"", 3),
    "query of length 0": message("Q", b"", 0),
    "query of negative length": message("Q", b"", -1),
    "query of two gibibytes": message("Q", b"", 2**31 - 1),
    "sync of a gibibyte": message("S", b"", 2**30),
    "describe of 10,001 bytes": message("D", b"S" + b"x" * 9_995 + b"\0"),
    "query without zero": message("Q", b"SELECT 1"),
    "query with bytes behind the zero": message("Q", TEXT + b"SELECT 2\0"),
    "query without body": message("Q", b""),
    "query that is only a zero": message("Q", b"\0"),
    "query not in UTF-8": message("Q", b"SELECT '\xff'\0"),
    "query cut in a character": message("Q", b"SELECT 'x\xc3\0"),
    "query of a surrogate": message("Q", b"SELECT '\xed\xa0\x80'\0"),
    "megabyte of blanks": message("Q", b" " * 2**20 + b"\0"),
    "parse without zeros": message("P", b"SELECT 1"),
    "parse of one string": message("P", b"name\0"),
    "parse without count": message("P", b"\0" + TEXT),
    "parse that promises types": message("P", b"\0" + TEXT + b"\0\5\0\0\0\x17"),
    "parse that promises 65,535 types": message("P", b"\0" + TEXT + b"\xff\xff"),
    "parse with more behind": message("P", b"\0" + TEXT + b"\0\0more"),
    "parse not in UTF-8": message("P", b"\0SELECT '\xfe'\0\0\0"),
    "parse of a name not in UTF-8": message("P", b"\xc0\x80\0" + TEXT + b"\0\0"),
    "parse of nothing": message("P", b"\0\0\0\0"),
    "bind of no statement": f.Bind("", "nobody").encode(),
    "bind that promises values": ONE + message("B", b"\0\0\0\0\0\2\0\0\0\1x"),
    "bind that promises 65,535 values": ONE + message("B", b"\0\0\0\0\xff\xff"),
    "bind with a negative length": ONE + message("B", b"\0\0\0\0\0\1\xff\xff\xff\xfe\0\0"),
    "bind with a giant length": ONE + message("B", b"\0\0\0\0\0\1\x7f\xff\xff\xff\0\0"),
    "bind with formats for others": ONE + message("B", b"\0\0\0\2\0\0\0\1\0\1\xff\xff\xff\xff\0\0"),
    "bind with too many values": NONE + f.Bind("", "", (), (b"1",)).encode(),
    "bind with too few values": ONE + f.Bind("", "").encode(),
    "bind with result formats for others": NONE + f.Bind("", "", (), (), (0, 0, 0)).encode(),
    "bind with a format nobody knows": ONE + f.Bind("", "", (7,), (b"1",)).encode(),
    "bind with more behind": NONE + message("B", b"\0\0\0\0\0\0\0\0!"),
    "bind without body": message("B", b""),
    "describe of kind X": message("D", b"Xname\0"),
    "describe without body": message("D", b""),
    "describe without zero": message("D", b"Sname"),
    "describe of nobody": f.Describe("S", "nobody").encode(),
    "close of kind Q": message("C", b"Q\0"),
    "close with more behind": message("C", b"S\0more"),
    "close of nobody": f.Close("P", "nobody").encode(),
    "execute without limit": message("E", b"\0"),
    "execute with more behind": message("E", b"\0\0\0\0\0\0"),
    "execute of nobody": f.Execute("nobody").encode(),
    "execute with a negative limit": NONE + f.Bind("", "").encode() + f.Execute("", -7).encode(),
    "sync with a body": message("S", b"body"),
    "flush with a body": message("H", b"body"),
    "flood of syncs": f.Sync().encode() * 2_000,
    "flood of flushes": f.Flush().encode() * 2_000,
    "flood of failures": PARSE_FAILING * 2_000,
    "query skipped after a failure": PARSE_FAILING + f.Query("SELECT 1/0").encode(),
    "malformed while skipping": PARSE_FAILING + message("B", b"\xff") + message("D", b""),
    "type nobody knows while skipping": PARSE_FAILING + message("?", b""),
    "giant while skipping": PARSE_FAILING + message("B", b"", 2**31 - 1),
    "data for no copy": f.CopyData(b"1\n").encode() + f.CopyDone().encode(),
    "malformed end of no copy": message("f", b"no zero") + message("c", b"body"),
    "function call without body": message("F", b""),
    "function call that promises": message("F", b"\0\0\0\1\0\0\0\5\0\0"),
    "goodbye with a body": message("X", b"body"),
}


_HANGING: Mapping[str, Callable[[Address], Sequence[Step]]] = {
    "half a query, then gone": lambda _: [message("Q", b"SELECT 1", 100), HANG_UP],
    "type byte, then gone": lambda _: [b"Q", HANG_UP],
    "query, then gone": lambda _: [f.Query("SELECT 1").encode(), HANG_UP],
}


OLD_FORMAT = "PostgreSQL says 0A000 in the format of protocol 2, we in that of 3"
OUR_LENGTH = "PostgreSQL calls it a wrong password, we a wrong length"

OUR_TLS = "PostgreSQL declines TLS here and goes on in the clear, we have said yes by then"

DIFFERENCES = {
    "TLS asked for twice": OUR_TLS,
    "startup stuffed behind TLS": OUR_TLS,
    "protocol 1.0": OLD_FORMAT,
    "protocol 2.0": OLD_FORMAT,
    "giant password": OUR_LENGTH,
    "negative password": OUR_LENGTH,
    "function call that promises": "PostgreSQL looks the function up before it reads on",
}
"""Probes that may end in another SQLSTATE than PostgreSQL's. The state must still be the same."""


def _fixed(data: bytes) -> Callable[[Address], Sequence[Step]]:
    return lambda _: [data]


def _probe(name: str, steps: Callable[[Address], Sequence[Step]], *, logged_in: bool) -> Probe:
    return Probe(name, steps, logged_in, DIFFERENCES.get(name, ""))


BEFORE_LOGIN = tuple(_probe(name, steps, logged_in=False) for name, steps in _BEFORE.items())
AFTER_LOGIN = tuple(
    _probe(name, steps, logged_in=True)
    for name, steps in (
        *((name, _fixed(data)) for name, data in _AFTER.items()),
        *_HANGING.items(),
    )
)
