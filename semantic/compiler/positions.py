"""Where a node stands in the client's text, and how positions survive our edits of that text."""

from __future__ import annotations

from dataclasses import dataclass

from sqlglot import exp


def start_of(node: exp.Expr) -> int | None:
    """The 0-based offset of a node's first token that is known to the parser."""
    start: int | None = node._meta.get("start") if node._meta else None
    if start is not None and not isinstance(node, exp.Func):
        return start
    for child in node.iter_expressions():
        found = start_of(child)
        if found is not None and (start is None or found < start):
            start = found
    return start


def position_of(node: exp.Expr | None) -> int | None:
    """The 1-based position of a node, or of the nearest node around it that has one."""
    while node is not None:
        start = start_of(node)
        if start is not None:
            return start + 1
        node = node.parent
    return None


@dataclass(frozen=True, slots=True, order=True)
class Edit:
    """Replace ``length`` characters at ``offset`` of the client's text (0: insert) by ``text``.

    ``rank`` orders insertions at one offset.
    """

    offset: int
    rank: int
    length: int
    text: str


@dataclass(frozen=True, slots=True)
class EditedText:
    """A client's text after edits, able to say where a position of the result was before.

    Attributes:
        text: the text after the edits.
        segments: (offset in text, length in text, offset in the source, length in the source) of
            each edit, in order.
    """

    text: str
    segments: tuple[tuple[int, int, int, int], ...] = ()

    def client_position(self, position: int) -> int:
        """Translate a 1-based position in the edited text to one in the client's own."""
        offset = position - 1
        shift = 0
        for start, length, source, source_length in self.segments:
            if offset < start:
                break
            if offset < start + length:
                return source + 1
            shift = (source + source_length) - (start + length)
        return max(1, offset + shift + 1)


def apply_edits(sql: str, edits: list[Edit]) -> EditedText:
    """Apply edits that do not overlap."""
    pieces: list[str] = []
    segments: list[tuple[int, int, int, int]] = []
    done = 0
    length = 0
    for edit in sorted(set(edits)):
        unchanged = sql[done : edit.offset]
        pieces.append(unchanged)
        length += len(unchanged)
        segments.append((length, len(edit.text), edit.offset, edit.length))
        pieces.append(edit.text)
        length += len(edit.text)
        done = edit.offset + edit.length
    pieces.append(sql[done:])
    return EditedText("".join(pieces), tuple(segments))
