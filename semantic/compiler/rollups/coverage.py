"""Which tables of a rollup hold the rows of a range of time, and what none of them holds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from semantic.compiler.rollups.api import StoredPart


@dataclass(frozen=True, slots=True)
class Span:
    """A half-open range of moments, aware; None is no bound. Without a start it holds NULL, too."""

    start: datetime | None = None
    end: datetime | None = None

    def meet(self, other: Span) -> Span:
        """What is in both."""
        starts = [item for item in (self.start, other.start) if item is not None]
        ends = [item for item in (self.end, other.end) if item is not None]
        return Span(max(starts, default=None), min(ends, default=None))

    @property
    def is_empty(self) -> bool:
        """Whether nothing is in it."""
        return self.start is not None and self.end is not None and self.start >= self.end


EVERYTHING = Span()
_FIRST = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Coverage:
    """The tables to read for a range, and the ranges in it that they do not hold.

    Attributes:
        parts: tables, in order of time.
        gaps: of the range, in order of time.
    """

    parts: tuple[StoredPart, ...]
    gaps: tuple[Span, ...]


def coverage(parts: Iterable[StoredPart], wanted: Span) -> Coverage:
    """What of a range is stored where."""
    used: list[StoredPart] = []
    left = [wanted]
    for part in sorted(parts, key=lambda item: item.start or _FIRST):
        span = Span(part.start, part.end)
        if span.meet(wanted).is_empty:
            continue
        used.append(part)
        left = [rest for item in left for rest in _without(item, span)]
    return Coverage(tuple(used), tuple(item for item in left if not item.is_empty))


def _without(span: Span, taken: Span) -> list[Span]:
    """What is left of a range without another one."""
    if span.meet(taken).is_empty:
        return [span]
    rest: list[Span] = []
    if taken.start is not None and (span.start is None or span.start < taken.start):
        rest.append(Span(span.start, taken.start))
    if taken.end is not None and (span.end is None or taken.end < span.end):
        rest.append(Span(taken.end, span.end))
    return rest
