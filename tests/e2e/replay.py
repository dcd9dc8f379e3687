"""Sending captured statements again, message by message, to any server."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from proxy.wire import backend, frontend
from proxy.wire.backend import BackendMessage, FieldDescription
from proxy.wire.oids import TYPES
from tests.e2e.targets import Target
from tests.support.raw_client import RawClient

CORPUS = Path(__file__).parent.parent / "fixtures" / "corpus"
FIRST_USER_OID = 16384
_BINARY = {
    TYPES[name].oid
    for name in "bool int2 int4 int8 float4 float8 numeric date timestamp timestamptz".split()  # noqa: SIM905
}
"""Types that drivers which choose by type take in binary."""


@dataclass(frozen=True, slots=True)
class Captured:
    """A statement that a real client sent, and how."""

    client: str
    line: int
    kind: str
    protocol: str
    sql: str
    parameters: tuple[bytes | None, ...]
    parameter_formats: tuple[int, ...]
    parameter_oids: tuple[int, ...]
    result_formats: str


@dataclass(slots=True)
class Answer:
    """What a server said to one statement.

    Attributes:
        columns: name and type OID; types made by users all count as one.
        rows: values as sent.
        end: the command tag without its number, a SQLSTATE, or "empty".
    """

    columns: list[tuple[str, int]] = field(default_factory=list)
    rows: list[tuple[bytes | None, ...]] = field(default_factory=list)
    end: str = ""

    @property
    def shape(self) -> tuple[list[tuple[str, int]], str]:
        return self.columns, self.end


def clients() -> list[Path]:
    return sorted(CORPUS.glob("*.jsonl"))


def captured(path: Path) -> Iterator[Captured]:
    """A client's statements in the order in which it sent them first."""
    for number, line in enumerate(path.read_text().splitlines(), 1):
        entry = json.loads(line)
        yield Captured(
            path.stem,
            number,
            entry["kind"],
            entry["protocol"],
            entry["sql"].replace("pg_sleep(3)", "pg_sleep(0)"),
            tuple(_parameter(value) for value in entry.get("params") or ()),
            tuple(entry.get("param_formats") or ()),
            tuple(entry.get("param_oids") or ()),
            entry.get("result_formats") or "text",
        )


def _parameter(value: str | None) -> bytes | None:
    """A captured parameter: bytes that are not UTF-8 were written as backslash escapes."""
    if value is None:
        return None
    return re.sub(rb"\\x([0-9a-f]{2})", lambda m: bytes.fromhex(m[1].decode()), value.encode())


class Replay:
    """One session that statements are sent to."""

    def __init__(self, target: Target) -> None:
        self._client = RawClient.connect(target.host, target.port, 30.0)
        self._client.startup(target.user, target.database, target.password)
        self.status = "I"

    def close(self) -> None:
        self._client.close()

    def run(self, statement: Captured) -> list[Answer]:
        """Send it as it was sent; the answers, one per result."""
        if statement.protocol == "simple":
            return self.simple(statement.sql)
        return self._extended(statement)

    def simple(self, sql: str) -> list[Answer]:
        return self._answers(self._client.query(sql))

    def _extended(self, statement: Captured) -> list[Answer]:
        described = self._client.exchange(
            frontend.Parse("", statement.sql, statement.parameter_oids),
            frontend.Describe("S", ""),
            frontend.Sync(),
        )
        fields: Sequence[FieldDescription] = ()
        for message in described:
            if isinstance(message, backend.ErrorResponse):
                return self._answers(described)
            if isinstance(message, backend.RowDescription):
                fields = message.fields
        formats = _result_formats(statement.result_formats, fields)
        messages = self._client.exchange(
            frontend.Bind("", "", statement.parameter_formats, statement.parameters, formats),
            frontend.Describe("P", ""),
            frontend.Execute("", 0),
            frontend.Sync(),
        )
        return self._answers(messages)

    def _answers(self, messages: Sequence[BackendMessage]) -> list[Answer]:
        answers: list[Answer] = []
        answer = Answer()
        for message in messages:
            if isinstance(message, backend.RowDescription):
                answer.columns = [
                    (item.name, min(item.type_oid, FIRST_USER_OID)) for item in message.fields
                ]
            elif isinstance(message, backend.DataRow):
                answer.rows.append(message.values)
            elif isinstance(message, backend.CopyData):
                answer.rows.append((message.data,))
            elif isinstance(message, backend.CommandComplete):
                answer.end = message.tag.split(" ")[0]
            elif isinstance(message, backend.EmptyQueryResponse):
                answer.end = "empty"
            elif isinstance(message, backend.ErrorResponse):
                answer.end = message.fields["C"]
            elif isinstance(message, backend.ReadyForQuery):
                self.status = message.status
            if answer.end:
                answers.append(answer)
                answer = Answer()
        return answers


def _result_formats(formats: str, fields: Sequence[FieldDescription]) -> tuple[int, ...]:
    if formats == "binary":
        return (1,)
    if formats == "mixed":
        return tuple(int(item.type_oid in _BINARY) for item in fields)
    return ()


_SAVEPOINT = re.compile(
    r"(?:savepoint|release|rollback\s+to)\s+(?:savepoint\s+)?(\S+?)\s*(?:;|$)", re.I
)


def setup(sql: str, status: str) -> list[str]:
    """What has to come before a statement so that it means what it meant when it was captured.

    The corpus holds each statement once, so that a BEGIN or a ROLLBACK between two may be missing.
    """
    words = sql.lower().split()
    first = words[0].rstrip(";") if words else ""
    before: list[str] = []
    ends = first in ("rollback", "commit", "abort", "end")
    if status == "E" and not ends:
        before.append("ROLLBACK")
        status = "I"
    declares = "declare" in words or "declare" in sql.lower().split(";")[-1]
    if declares:
        if status != "I":
            before.append("ROLLBACK")
            status = "I"
        before.append("CLOSE ALL")
    savepoint = _SAVEPOINT.match(sql)
    if status == "I" and (savepoint or (declares and first == "declare")):
        before.append("BEGIN")
        if savepoint and first != "savepoint":
            before.append(f"SAVEPOINT {savepoint.group(1)}")
    return before
