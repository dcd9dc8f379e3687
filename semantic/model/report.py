"""What a load found: every problem with its place, and the model when there is none."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from semantic.model.model import Model
from semantic.model.values import Location


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault of a model.

    Attributes:
        location: where; line 0 stands for the file (or the folder) as a whole.
        code: a stable slug for tools, such as ``unknown-key``.
        message: one line, lower case, no full stop.
        suggestion: the nearest valid name.
    """

    location: Location
    code: str
    message: str
    suggestion: str | None = None

    @property
    def text(self) -> str:
        """The message with its suggestion."""
        if self.suggestion is None:
            return self.message
        return f'{self.message}; did you mean "{self.suggestion}"?'


@dataclass(frozen=True, slots=True)
class ModelReport:
    """The outcome of a load.

    Attributes:
        problems: in order of file, line and column.
        model: None as soon as there is one problem.
        sources: the text of each file, for excerpts.
    """

    problems: tuple[Problem, ...]
    model: Model | None
    sources: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)

    def render_text(self) -> str:
        """Compiler-style lines: ``file:line:column: message``, then the source line and a caret."""
        if not self.problems:
            return _summary(self.model) if self.model is not None else "no model"
        lines: list[str] = []
        split: dict[str, list[str]] = {}
        for problem in self.problems:
            place = problem.location
            where = str(place) if place.line else place.file
            lines.append(f"{where}: {problem.text}")
            if place.file not in split:
                split[place.file] = self.sources.get(place.file, "").split("\n")
            if 0 < place.line <= len(split[place.file]):
                lines.extend(_excerpt(split[place.file][place.line - 1], place))
        count = len(self.problems)
        lines.append(f"{count} problem{'s' if count != 1 else ''}")
        return "\n".join(lines)

    def to_json(self) -> dict[str, object]:
        """The report as plain data for ``json.dumps``."""
        return {
            "ok": self.model is not None,
            "version": self.model.version if self.model is not None else None,
            "problems": [
                {
                    "file": problem.location.file,
                    "line": problem.location.line,
                    "column": problem.location.column,
                    "code": problem.code,
                    "message": problem.message,
                    "suggestion": problem.suggestion,
                }
                for problem in self.problems
            ],
        }


def nearest(name: str, candidates: Iterable[str]) -> str | None:
    """The candidate most like a name, None when nothing is alike."""
    return _nearest(name, tuple(candidates))


@lru_cache(maxsize=4096)
def _nearest(name: str, candidates: tuple[str, ...]) -> str | None:
    # One typing error is often repeated, and comparing with a thousand names takes milliseconds.
    known = {candidate.lower(): candidate for candidate in candidates}
    found = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.65)
    return known[found[0]] if found else None


def _excerpt(line: str, place: Location) -> list[str]:
    number = str(place.line)
    shown = line.rstrip("\r").replace("\t", " ")
    start = 0
    if len(shown) > 160:
        start = max(0, place.column - 80)
        shown = shown[start : start + 160]
    caret = " " * max(0, place.column - 1 - start)
    return [f" {number} | {shown}", f" {' ' * len(number)} | {caret}^"]


def _summary(model: Model) -> str:
    members = sum(len(cube.members) for cube in model.cubes)
    cubes, views = len(model.cubes), len(model.views)
    return f"ok: {cubes} cubes, {views} views, {members} members, version {model.version}"
