"""Reads fixture files: command, input, ``----``, expected; then a blank line and the next case.

Lines ``>>> name`` split the input into files; without one it is ``model.yml``. ``with=shop`` adds
the file ``shop.yml`` of the folder.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "testdata"
COMMANDS = ("check", "report")


@dataclass(slots=True)
class Case:
    """One case. ``head`` is its comment and command as written."""

    path: Path
    line: int
    head: list[str]
    input: list[str]
    expected: list[str]

    @property
    def command(self) -> list[str]:
        return self.head[-1].split()

    def files(self) -> dict[str, str]:
        found: dict[str, list[str]] = {}
        current = "model.yml"
        for line in self.input:
            if line.startswith(">>> "):
                current = line[4:]
                found[current] = []
            else:
                found.setdefault(current, []).append(line)
        files = {name: "\n".join(lines) + "\n" for name, lines in found.items()}
        for word in self.command[1:]:
            key, _, value = word.partition("=")
            assert key == "with", f"{self.path.name}:{self.line}: unknown option {word}"
            files[f"{value}.yml"] = (FOLDER / f"{value}.yml").read_text()
        return files


def read_cases(path: Path) -> list[Case]:
    cases: list[Case] = []
    part = ""
    for number, line in enumerate(path.read_text().split("\n"), 1):
        starts = line.startswith("#") or line.split(" ")[0] in COMMANDS
        if part in {"", "expected"} and starts:
            cases.append(Case(path, number, [line], [], []))
            part = "head" if line.startswith("#") else "input"
        elif part == "head":
            cases[-1].head.append(line)
            part = part if line.startswith("#") else "input"
        elif part == "input" and line == "----":
            part = "expected"
        elif part == "input":
            cases[-1].input.append(line)
        elif part == "expected" and line:
            cases[-1].expected.append(line)
        else:
            assert not line, f"{path.name}:{number}: text between cases"
    return cases


def write_cases(path: Path, cases: list[Case]) -> None:
    blocks = ["\n".join([*case.head, *case.input, "----", *case.expected]) for case in cases]
    path.write_text("\n\n".join(blocks) + "\n")
