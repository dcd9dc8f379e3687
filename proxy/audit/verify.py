"""Checks trails that were chained: nothing changed, lost, added or put in another place."""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from proxy.audit.chain import GENESIS, Sealed, code, open_seal
from proxy.audit.head import Head

HeadOf = Callable[[str], Head | None]
"""The head of a chain by its name."""


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a file, counted from 1."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(slots=True)
class ChainReport:
    """What was found of one chain.

    Attributes:
        name: of the process that wrote it.
        first: number of its first line that is there; later than 1 where older files are not.
        last: number of its last good line.
        problem: what is wrong first, at ``place``; None where all is well.
    """

    name: str
    files: list[str] = field(default_factory=list)
    lines: int = 0
    first: int = 0
    last: int = 0
    problem: str | None = None
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class _Line:
    place: Place
    text: str
    ended: bool
    sequence: int
    source: str
    sealed: Sealed | None


def verify(files: Sequence[Path], key: bytes, head_of: HeadOf | None) -> list[ChainReport]:
    """Check files, in any order, of any number of chains.

    Args:
        files: all that belong to a chain, but for the oldest.
        key: that the chains were made with.
        head_of: how far a chain should go; None where the newest files are not among these.

    Raises:
        OSError: a file cannot be read.
    """
    reports: dict[str, ChainReport] = {}
    ends: dict[str, _Line] = {}
    for file in _in_order(files):
        for line in _lines(file):
            name = line.source or _owner(reports, file)
            report = reports.setdefault(name, ChainReport(name))
            if str(file) not in report.files:
                report.files.append(str(file))
            if report.problem is None:
                report.problem = _fault(line, ends.get(name), key)
                if report.problem is not None:
                    report.place = line.place
                else:
                    report.first = report.first or line.sequence
                    report.last = line.sequence
                    ends[name] = line
            report.lines += 1
    if head_of is not None:
        for name, report in reports.items():
            _compare(report, ends.get(name), head_of(name))
    return list(reports.values())


def _in_order(files: Sequence[Path]) -> list[Path]:
    """Files by the number of their first line; those that have none come last."""

    def first(file: Path) -> tuple[int, str]:
        found = next(_lines(file), None)
        return (found.sequence if found is not None else 0) or 1 << 62, str(file)

    return sorted(files, key=first)


def _lines(file: Path) -> Iterator[_Line]:
    with file.open("rb") as opened:
        for number, raw in enumerate(opened, 1):
            text = raw.removesuffix(b"\n").decode(errors="replace")
            sequence, source = _named(text)
            yield _Line(
                Place(str(file), number),
                text,
                raw.endswith(b"\n"),
                sequence,
                source,
                open_seal(text),
            )


def _named(text: str) -> tuple[int, str]:
    try:
        fields = json.loads(text)
        sequence, source = fields["seq"], fields["source"]
    except (ValueError, KeyError, TypeError):
        return 0, ""
    return (sequence, source) if isinstance(sequence, int) and isinstance(source, str) else (0, "")


def _owner(reports: dict[str, ChainReport], file: Path) -> str:
    """Whose a line is that does not say: that of the chain of its file."""
    return next((each.name for each in reports.values() if str(file) in each.files), file.name)


def _fault(line: _Line, before: _Line | None, key: bytes) -> str | None:
    if not line.ended:
        return "the line is cut off"
    sealed = line.sealed
    if sealed is None or not line.sequence:
        return "this is no line of a chained audit trail"
    if not hmac.compare_digest(code(key, sealed.body), sealed.mac):
        return "the line was changed, or the key is another"
    if before is None or before.sealed is None:
        if line.sequence == 1 and sealed.previous != GENESIS:
            return "the chain does not begin where it says"
        return None
    if line.text == before.text:
        return None  # sent again over a connection that broke
    if line.sequence <= before.sequence:
        return f"line {line.sequence} stands after line {before.sequence}: the order was changed"
    if line.sequence > before.sequence + 1:
        return f"lines {before.sequence + 1} to {line.sequence - 1} are missing"
    if sealed.previous != before.sealed.mac:
        return "the line does not follow the one before it"
    return None


def _compare(report: ChainReport, end: _Line | None, head: Head | None) -> None:
    if report.problem is not None or end is None or end.sealed is None:
        return
    if head is None:
        report.problem = "how far the chain should go is not known: its head is missing"
    elif head.sequence > end.sequence:
        report.problem = f"the end is missing: lines {end.sequence + 1} to {head.sequence}"
    elif head.sequence == end.sequence and head.mac != end.sealed.mac:
        report.problem = "the last line is not the one that was written last"
    if report.problem is not None:
        report.place = end.place
