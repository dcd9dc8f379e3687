"""Text fixtures: command, input, ``----``, expected output; blank lines between cases."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Case:
    """One case of a fixture file."""

    comments: str
    command: str
    options: dict[str, str]
    text: str
    expected: str
    line: int

    def rendered(self, output: str) -> str:
        options = "".join(f" {key}={value}" for key, value in self.options.items())
        return f"{self.comments}{self.command}{options}\n{self.text}\n----\n{output}\n"


def read_cases(path: Path) -> list[Case]:
    cases: list[Case] = []
    blocks = path.read_text().split("\n\n")
    line = 1
    for block in blocks:
        at, line = line, line + block.count("\n") + 2
        lines = block.strip("\n").split("\n")
        comments = ""
        while lines and lines[0].startswith("#"):
            comments += lines.pop(0) + "\n"
        if not lines or not lines[0]:
            continue
        words = lines[0].split()
        options = dict(word.split("=", 1) for word in words[1:])
        rest = "\n".join(lines[1:])
        text, _, expected = rest.partition("\n----")
        cases.append(Case(comments, words[0], options, text, expected.strip("\n"), at))
    return cases


def run(path: Path, perform: Callable[[Case], str]) -> None:
    """Compare every case of a file with what ``perform`` gives; REWRITE=1 writes it instead."""
    outputs = [(case, perform(case).strip("\n")) for case in read_cases(path)]
    if os.environ.get("REWRITE"):
        head = path.read_text().split("\n\n", 1)[0]
        keep = head + "\n\n" if all(line.startswith("#") for line in head.split("\n")) else ""
        path.write_text(keep + "\n".join(case.rendered(output) for case, output in outputs))
        return
    for case, output in outputs:
        where = f"{path.name}:{case.line}\n{case.text}\n"
        assert output == case.expected, f"{where}----\n{output}\n---- expected\n{case.expected}"
