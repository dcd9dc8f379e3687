"""Edits of the client's text, and the way back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from semantic.compiler.positions import Edit, apply_edits


def test_insertions_and_replacements() -> None:
    text = apply_edits(
        "SELECT a, bb FROM t", [Edit(7, -1, 0, "f("), Edit(8, 1, 0, ")"), Edit(10, 0, 2, '"B"')]
    )
    assert text.text == 'SELECT f(a), "B" FROM t'
    #                    12345678901234567890123
    assert [text.client_position(p) for p in (1, 8, 9, 10, 11, 12, 14, 17, 18)] == [
        1, 8, 8, 8, 9, 9, 11, 13, 14
    ]  # fmt: skip


@given(
    st.text(min_size=1, max_size=60),
    st.lists(st.tuples(st.integers(0, 59), st.integers(0, 3), st.text(max_size=5)), max_size=6),
)
def test_untouched_characters_keep_their_place(
    source: str, wanted: list[tuple[int, int, str]]
) -> None:
    edits: list[Edit] = []
    free = 0
    for offset, length, text in sorted(wanted):
        if free <= offset and offset + length <= len(source) and (length or text):
            edits.append(Edit(offset, 0, length, text))
            free = offset + length + 1
    edited = apply_edits(source, edits)
    replaced = {i for edit in edits for i in range(edit.offset, edit.offset + edit.length)}
    inserted: set[int] = set()
    for start, length, _, _ in edited.segments:
        inserted |= set(range(start, start + length))
    kept = [i for i in range(len(source)) if i not in replaced]
    places = [i for i in range(len(edited.text)) if i not in inserted]
    assert len(kept) == len(places)
    for before, after in zip(kept, places, strict=True):
        assert edited.client_position(after + 1) == before + 1
        assert edited.text[after] == source[before]
