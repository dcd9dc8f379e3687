"""Chained lines: every change to a trail is found, at the line where it begins."""

from __future__ import annotations

import doctest
import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from proxy.audit import chain as module
from proxy.audit.chain import GENESIS, Chain, open_seal
from proxy.audit.files import FileLimits, FileSink
from proxy.audit.head import Head, HeadFile, head_path
from proxy.audit.verify import verify
from proxy.cli import main

KEY = b"k" * 32
Lines = list[str]


def sealed(count: int, source: str = "worker-0") -> tuple[Lines, Chain]:
    chain = Chain(KEY)
    lines = [
        chain.seal({"source": source, "event": "statement", "user": f'"u{n}"\n', "rows": n})
        for n in range(count)
    ]
    return lines, chain


def problem(folder: Path, lines: Lines, head: Head | None = None, end: str = "\n") -> str | None:
    file = folder / "audit.jsonl"
    file.write_text("\n".join(lines) + end)
    (report,) = verify([file], KEY, None if head is None else lambda _: head)
    assert (report.place is None) == (report.problem is None)
    return None if report.problem is None else f"{report.place.line}: {report.problem}"  # type: ignore[union-attr]


def test_examples_in_docstrings() -> None:
    assert doctest.testmod(module).failed == 0


def test_a_chain_is_intact_and_its_lines_are_json(tmp_path: Path) -> None:
    lines, chain = sealed(20)
    assert problem(tmp_path, lines, Head(chain.sequence, chain.previous)) is None
    rows = [json.loads(line) for line in lines]
    assert [row["seq"] for row in rows] == list(range(1, 21))
    assert rows[0]["prev"] == GENESIS
    assert [row["prev"] for row in rows[1:]] == [row["mac"] for row in rows[:-1]]


def swap(lines: Lines) -> Lines:
    lines[4], lines[5] = lines[5], lines[4]
    return lines


def renumber(lines: Lines) -> Lines:
    return [*lines[:4], lines[4].replace('"seq":5', '"seq":6'), *lines[5:]]


CHANGES: dict[str, tuple[Callable[[Lines], Lines], str]] = {
    "a value": (
        lambda lines: [*lines[:6], lines[6].replace('"rows":6', '"rows":9'), *lines[7:]],
        "7: the line was changed",
    ),
    "a character of the code": (
        lambda lines: [*lines[:6], lines[6][:-3] + ("0" if lines[6][-3] != "0" else "1") + '"}'],
        "7: the line was changed",
    ),
    "a line dropped": (lambda lines: lines[:4] + lines[5:], "5: lines 5 to 5 are missing"),
    "two swapped": (swap, "5: lines 5 to 5 are missing"),
    "one moved back": (
        lambda lines: [*lines[:8], lines[2], *lines[8:]],
        "9: line 3 stands after line 8",
    ),
    "a number": (renumber, "5: the line was changed"),
    "a line added": (
        lambda lines: [*lines[:3], '{"seq":4,"source":"worker-0"}', *lines[3:]],
        "4: this is no line of a chained audit trail",
    ),
    "no JSON": (lambda lines: [*lines[:3], "x", *lines[3:]], "4: this is no line"),
    "the beginning renamed": (
        lambda lines: [sealed(1, "other")[0][0].replace("other", "worker-0"), *lines[1:]],
        "1: the line was changed",
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_found_where_it_begins(tmp_path: Path, name: str) -> None:
    change, expected = CHANGES[name]
    found = problem(tmp_path, change(sealed(10)[0]))
    assert found is not None
    assert found.startswith(expected)


def test_no_byte_can_be_changed(tmp_path: Path) -> None:
    lines, _ = sealed(3)
    text = "\n".join(lines) + "\n"
    rng = random.Random(7)
    for place in rng.sample(range(len(text) - 1), 60):
        changed = text[:place] + chr(ord(text[place]) ^ 1) + text[place + 1 :]
        file = tmp_path / "audit.jsonl"
        file.write_text(changed)
        assert any(report.problem for report in verify([file], KEY, None)), place


def test_a_missing_end_is_told_by_the_head(tmp_path: Path) -> None:
    lines, chain = sealed(10)
    head = Head(chain.sequence, chain.previous)
    assert problem(tmp_path, lines[:7], head) == "7: the end is missing: lines 8 to 10"
    assert problem(tmp_path, lines[:7]) is None
    assert problem(tmp_path, lines, end="") == "10: the line is cut off"


def test_another_key_finds_nothing_right(tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"
    file.write_text("\n".join(sealed(2)[0]) + "\n")
    (report,) = verify([file], b"another key is here", None)
    assert report.problem == "the line was changed, or the key is another"


def test_a_chain_goes_on_after_its_last_line() -> None:
    lines, _ = sealed(3)
    again = Chain(KEY)
    assert again.resume(lines[-1])
    following = open_seal(again.seal({"source": "worker-0"}))
    last = open_seal(lines[-1])
    assert following is not None
    assert last is not None
    assert following.previous == last.mac
    assert not Chain(b"another").resume(lines[-1])
    assert not Chain(KEY).resume("{}")
    numbered = Chain(None)
    assert numbered.resume(Chain(None).seal({}))
    assert numbered.seal({}) == '{"seq":2}'


def test_command_checks_rotated_files_in_any_order(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = tmp_path / "key"
    key.write_bytes(KEY)
    state = tmp_path / "state"
    state.mkdir()
    config = tmp_path / "cubewire.yml"
    config.write_text(json.dumps({"state_directory": str(state), "audit": {"key": str(key)}}))
    lines, chain = sealed(30)
    HeadFile(head_path(state, "worker-0")).write(Head(chain.sequence, chain.previous))
    sink = FileSink(tmp_path / "audit.jsonl", FileLimits(max_bytes=900))
    for line in lines:
        sink.write([line])
    sink.close()
    files = sorted(tmp_path.glob("audit.jsonl*"), reverse=True)
    assert len(files) > 3
    call = ["audit", "verify", *map(str, files), "--config", str(config)]
    assert main(call) == 0
    assert capsys.readouterr().out == "worker-0: intact, 30 lines, 1 to 30\n"
    older = sorted(tmp_path.glob("audit.jsonl.*"))
    older[1].unlink()
    gone = ["audit", "verify", "--config", str(config), "--format", "json"]
    assert main([*gone, *map(str, tmp_path.glob("audit.jsonl*"))]) == 1
    found = json.loads(capsys.readouterr().out)
    assert not found["intact"]
    assert "are missing" in found["chains"][0]["problem"]
    assert main([*gone, str(older[0])]) == 1
    assert "the end is missing" in capsys.readouterr().out
    assert main([*gone, str(older[0]), "--partial"]) == 0
