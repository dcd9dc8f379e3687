"""Conversations with a server as text, and a runner of them.

A script is blocks between blank lines. A block begins with a directive:

    connect [minor=2] [NAME=VALUE ...]      a new connection; scripts begin with one
    send                                    messages, one a line: a name and its fields as JSON
    until NAME [NAME ...]                   receive until these came, in this order

What came back follows ``until`` and a line ``----``, one JSON object a line. Options of a block:
``only=postgres`` or ``only=proxy`` skips it elsewhere and must have a ``#`` line right above that
says why; ``errors=code`` compares only severity and SQLSTATE; ``ignore=NAME,NAME`` leaves messages
out. The expected part is made by running the script against PostgreSQL, then read by a human.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tests.support.addresses import Address
from tests.support.raw_client import RawClient
from tests.support.wire_text import BACKEND, LineError, parse_message, show

RULE = "----"
CLOSED = '{"type": "closed"}'
OPTIONS: dict[str, frozenset[str]] = {
    "send": frozenset({"only"}),
    "until": frozenset({"only", "errors", "ignore"}),
}


class ScriptError(ValueError):
    """A script that cannot be read, with file and line."""


@dataclass(slots=True)
class Block:
    """One step of a script.

    Attributes:
        comments: lines above it that begin with ``#``.
        line: number of the directive's line.
        words: what follows the directive and is no option.
        body: lines of the input.
        expected: lines behind the rule, None where there is no rule.
    """

    directive: str
    comments: list[str]
    line: int
    words: list[str] = field(default_factory=list)
    options: dict[str, str] = field(default_factory=dict)
    body: list[str] = field(default_factory=list)
    expected: list[str] | None = None
    head: str = ""

    def runs_on(self, server: str) -> bool:
        return self.options.get("only", server) == server


@dataclass(frozen=True, slots=True)
class Script:
    """A parsed file; ``trailer`` is a comment that belongs to no block."""

    path: Path
    blocks: list[Block]
    trailer: list[str]

    def text(self) -> str:
        """The file again: the same text unless expectations were replaced."""
        parts = []
        for block in self.blocks:
            lines = [*block.comments, block.head, *block.body]
            if block.expected is not None:
                lines += [RULE, *block.expected]
            parts.append("\n".join(lines) + "\n")
        if self.trailer:
            parts.append("\n".join(self.trailer) + "\n")
        return "\n".join(parts)


def parse_script(path: Path, text: str) -> Script:
    """Read a script.

    Raises:
        ScriptError: a directive, option or message is unknown, or ``only`` has no reason above it.
    """
    blocks: list[Block] = []
    trailer: list[str] = []
    number = 0
    for chunk in text.split("\n\n"):
        lines = chunk.strip("\n").split("\n")
        start = number + 1 + (len(chunk) - len(chunk.lstrip("\n")))
        number += chunk.count("\n") + 2
        comments = []
        while lines and lines[0].startswith("#"):
            comments.append(lines.pop(0))
        if not lines or not lines[0]:
            trailer += comments
            continue
        if trailer:
            comments = [*trailer, "", *comments] if comments else [*trailer, ""]
            trailer = []
        block = Block(lines[0].split()[0], comments, start + len(comments), head=lines[0])
        try:
            _read_head(block)
            _read_lines(block, lines[1:])
        except ValueError as error:
            raise ScriptError(f"{path}:{block.line}: {error}") from error
        blocks.append(block)
    return Script(path, blocks, trailer)


def _read_head(block: Block) -> None:
    if block.directive not in ("connect", "send", "until"):
        raise LineError(f"unknown directive {block.directive!r}")
    for word in block.head.split()[1:]:
        name, equals, value = word.partition("=")
        if equals:
            block.options[name] = value
        else:
            block.words.append(word)
    if block.directive == "connect":
        return
    unknown = set(block.options) - OPTIONS[block.directive]
    if unknown:
        raise LineError(f"unknown option {sorted(unknown)}")
    only = block.options.get("only")
    if only not in (None, "proxy", "postgres"):
        raise LineError(f"only={only} is neither proxy nor postgres")
    if only is not None and not (block.comments and block.comments[-1].strip("# ")):
        raise LineError(f"only={only} needs a reason: a line with # right above it")


def _read_lines(block: Block, lines: list[str]) -> None:
    if RULE in lines:
        at = lines.index(RULE)
        block.body, block.expected = lines[:at], lines[at + 1 :]
    else:
        block.body = lines
    if block.directive == "send":
        if block.expected is not None or not block.body:
            raise LineError("send takes messages and expects nothing")
        for line in block.body:
            parse_message(line)
        return
    if block.body:
        raise LineError(f"unexpected line {block.body[0]!r}")
    if block.directive == "until":
        ignored = block.options.get("ignore", "").split(",")
        for name in (*block.words, *filter(None, ignored)):
            if name not in BACKEND:
                raise LineError(f"unknown message {name!r}")
        if not block.words:
            raise LineError("until needs the name of a message")
        if block.expected is None:
            block.expected = []


class Runner:
    """Plays a script against one server."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._client: RawClient | None = None

    def play(self, script: Script, *, rewrite: bool = False) -> list[str]:
        """Run it; returns what differs. With ``rewrite`` the expectations become what came back."""
        differences: list[str] = []
        try:
            self._connect(Block("connect", [], 0))
            for block in script.blocks:
                if block.runs_on(self._address.name):
                    differences += self._step(script, block, rewrite=rewrite)
        finally:
            self._hang_up()
        return differences

    def _step(self, script: Script, block: Block, *, rewrite: bool) -> list[str]:
        if block.directive == "connect":
            self._connect(block)
            return []
        if block.directive == "send":
            assert self._client is not None
            self._client.send(*[parse_message(line) for line in block.body])
            return []
        came = self._receive(block)
        if rewrite:
            block.expected = came
        if came == block.expected:
            return []
        where = f"{script.path.name}:{block.line} ({self._address.name})"
        expected = [f"    expected {line}" for line in block.expected or []]
        return [f"{where}: {block.head}", *expected, *(f"    came     {line}" for line in came)]

    def _receive(self, block: Block) -> list[str]:
        assert self._client is not None
        ignored = tuple(
            BACKEND[name] for name in block.options.get("ignore", "").split(",") if name
        )
        lines: list[str] = []
        for name in block.words:
            try:
                messages = self._client.until(BACKEND[name])
            except TimeoutError:
                return [*lines, f'{{"type": "timeout", "waiting_for": "{name}"}}']
            errors = block.options.get("errors", "full")
            lines += [show(one, errors=errors) for one in messages if not isinstance(one, ignored)]
            if not messages or not isinstance(messages[-1], BACKEND[name]):
                return [*lines, CLOSED]
        return lines

    def _connect(self, block: Block) -> None:
        self._hang_up()
        options = dict(block.options)
        minor = int(options.pop("minor", "0"))
        self._client = self._address.session(minor=minor, **options)

    def _hang_up(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None
