"""The template stage: Jinja over the files, and the way back from rendered to written lines."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from jinja2 import DictLoader, StrictUndefined, TemplateError, TemplateNotFound, TemplateSyntaxError
from jinja2.environment import Environment
from jinja2.ext import Extension
from jinja2.lexer import Token, TokenStream
from jinja2.sandbox import ImmutableSandboxedEnvironment

from semantic.model.report import Problem
from semantic.model.values import Location

# Private-use characters around a line number, put behind each line break of a template.
_MARK = re.compile("\ue000(\\d+)\ue001")
_TEMPLATED = re.compile(r"\{\{|\{%|\{#")


@dataclass(frozen=True, slots=True)
class Source:
    """A file after the template stage.

    Attributes:
        file: its name.
        text: what YAML gets to read.
        lines: the written line of each rendered line; None when nothing was rendered.
    """

    file: str
    text: str
    lines: tuple[int, ...] | None = None

    def location(self, line: int, column: int) -> Location:
        """The written place of a place in ``text``; both arguments count from 0."""
        if self.lines is None:
            return Location(self.file, line + 1, column + 1)
        if not self.lines:
            return Location(self.file, 1, 1)
        return Location(self.file, self.lines[min(line, len(self.lines) - 1)], column + 1)


class TemplateCallError(TemplateError):
    """A function of the templates was called with something that does not exist."""


class _LineMarks(Extension):
    """Marks each line of literal template text with its number."""

    def filter_stream(self, stream: TokenStream) -> Iterator[Token]:
        for token in stream:
            if token.type == "data":
                yield Token(token.lineno, "data", _mark_lines(token.value, token.lineno))
            else:
                yield token


def _mark_lines(text: str, line: int) -> str:
    pieces = text.split("\n")
    marked = [f"\ue000{line + offset}\ue001{piece}" for offset, piece in enumerate(pieces)]
    return "\n".join(marked)


class Renderer:
    """Renders the files of one folder.

    Args:
        files: every file, since templates may import macros from each other.
        environment: what ``env_var`` may read.
        manifest: dbt's ``manifest.json``, for ``ref`` and ``source``.
    """

    def __init__(
        self,
        files: Mapping[str, str],
        environment: Mapping[str, str],
        manifest: Mapping[str, object] | None,
    ) -> None:
        functions = _functions(environment, manifest)
        self._plain = _environment(files, functions, ())
        self._marked = _environment(files, functions, (_LineMarks,))

    def render(self, file: str, text: str) -> Source | Problem:
        """One file as text for YAML, or what is wrong with its template."""
        if not _TEMPLATED.search(text):
            return Source(file, text)
        try:
            rendered = self._plain.get_template(file).render()
            marked = self._marked.get_template(file).render()
        except TemplateSyntaxError as error:
            place = Location(error.name or file, error.lineno, 1)
            return Problem(place, "template", f"template: {error.message}")
        except (
            TemplateError,
            ArithmeticError,
            AttributeError,
            LookupError,
            RecursionError,
        ) as error:
            return _failure(file, error)
        except (TypeError, ValueError, MemoryError) as error:
            return _failure(file, error)
        return Source(file, rendered, _line_map(rendered, marked))


def _environment(
    files: Mapping[str, str],
    functions: Mapping[str, Callable[..., str]],
    extensions: tuple[type[Extension], ...],
) -> Environment:
    environment = ImmutableSandboxedEnvironment(
        loader=DictLoader(files),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,
        extensions=extensions,
    )
    environment.globals.update(functions)
    return environment


def _failure(file: str, error: BaseException) -> Problem:
    """The problem of a template that failed while running, at the innermost line of the file."""
    line = 1
    trace = error.__traceback__
    while trace is not None:
        # Jinja rewrites tracebacks so that frames of templates carry the template's own lines.
        if trace.tb_frame.f_code.co_filename in {file, "<template>"}:
            line = trace.tb_lineno
        trace = trace.tb_next
    message = str(error).split("\n")[0] or type(error).__name__
    if isinstance(error, TemplateNotFound):
        message = f'no file "{message}"'
    return Problem(Location(file, line, 1), "template", f"template: {message}")


def _line_map(rendered: str, marked: str) -> tuple[int, ...]:
    """The written line of each rendered line."""
    if _MARK.sub("", marked) != rendered:
        # The template looks at its own text (a captured block, a length): marks changed the
        # outcome, so only the count of lines is known.
        return tuple(range(1, rendered.count("\n") + 2))
    lines: list[int] = []
    last = 1
    for line in marked.split("\n"):
        marks = [int(number) for number in _MARK.findall(line)]
        behind = [found for found in _MARK.finditer(line) if line[found.end() :].strip()]
        if marks:
            last = int(behind[0].group(1)) if behind else marks[0]
        lines.append(last)
    return tuple(lines)


def _functions(
    environment: Mapping[str, str], manifest: Mapping[str, object] | None
) -> dict[str, Callable[..., str]]:
    def env_var(name: str, default: str | None = None) -> str:
        value = environment.get(name, default)
        if value is None:
            raise TemplateCallError(f"environment variable {name} is not set")
        return value

    def ref(*names: str, **_: object) -> str:
        return _relation(manifest, "nodes", names, "model")

    def source(*names: str) -> str:
        return _relation(manifest, "sources", names, "source")

    return {"env_var": env_var, "ref": ref, "source": source}


def _relation(
    manifest: Mapping[str, Any] | None, section: str, names: tuple[str, ...], what: str
) -> str:
    """The relation that dbt made of a model, seed, snapshot or source."""
    shown = ".".join(names)
    if manifest is None:
        raise TemplateCallError(f"{what} {shown} needs a dbt manifest, and none is configured")
    for node in manifest.get(section, {}).values():
        path = (node.get("source_name") or node.get("package_name"), node.get("name"))
        relation = node.get("relation_name")
        if relation and names and path[2 - len(names) :] == names:
            return str(relation)
    raise TemplateCallError(f"{what} {shown} is not in the dbt manifest")
