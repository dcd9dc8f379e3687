"""The worker process of ``proxy.parse_worker``: compiles what arrives on standard input."""

from __future__ import annotations

import pickle
import resource
import struct
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO

from semantic.compiler.api import Analysis, CompiledStatement, SessionSettings
from semantic.compiler.compiler import Compiler
from semantic.compiler.guard import GuardLimits, check_depth, measure
from semantic.compiler.parse import UnparsableStatement
from semantic.compiler.positions import EditedText
from semantic.compiler.rollups.api import NONE, RollupCandidates
from semantic.compiler.statements import Statement, StatementText, parse_statement, split
from semantic.errors import SemanticError

_LENGTH = struct.Struct("!Q")
STACK_BYTES = 512 * 1024 * 1024
RECURSION = 200_000
"""A chain of 10,000 operators is a tree as deep, and every pass over it recurses."""
MOST_COMPILERS = 4
"""How many the process holds: of the profiles whose large statements came last."""
MEMORY_BYTES = 4 * 1024 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Job:
    """Bind a statement; with an analysis, compile it too."""

    version: str
    sql: str
    settings: SessionSettings
    analysis: Analysis | None
    rollups: RollupCandidates = NONE


@dataclass(frozen=True, slots=True)
class Reading:
    """Cut a Query's text into its statements; or, for ``whole``, read one statement."""

    sql: str
    whole: bool


@dataclass(frozen=True, slots=True)
class ReadingResult:
    """The one or the other."""

    parts: tuple[StatementText, ...] = ()
    statement: Statement | None = None


@dataclass(frozen=True, slots=True)
class JobResult:
    """``text`` is None where the statement touches no cube."""

    text: EditedText | None
    compiled: CompiledStatement | None = None


@dataclass(frozen=True, slots=True)
class JobFailure:
    """A SemanticError as plain values."""

    sqlstate: str
    message: str
    detail: str | None
    hint: str | None
    position: int | None
    unparsable: bool = False
    too_complex: bool = False


def main() -> None:
    """Serve until standard input ends."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    sys.setrecursionlimit(RECURSION)
    threading.stack_size(STACK_BYTES)
    thread = threading.Thread(target=_serve, name="compile")
    thread.start()
    thread.join()


def _serve() -> None:
    compilers: dict[str, Compiler] = {}
    limits = GuardLimits()
    while (request := _receive(sys.stdin.buffer)) is not None:
        if isinstance(request, Job | Reading):
            _send(_guarded(request, compilers, limits))
            continue
        version, compiler, limits = request
        if len(compilers) >= MOST_COMPILERS:
            compilers.clear()
        compilers[version] = compiler
        _send(None)


def _guarded(
    request: Job | Reading, compilers: Mapping[str, Compiler], limits: GuardLimits
) -> JobResult | ReadingResult | JobFailure:
    try:
        if isinstance(request, Job):
            return _work(compilers[request.version], limits, request)
        if request.whole:
            return ReadingResult(statement=parse_statement(request.sql))
        return ReadingResult(split(request.sql))
    except SemanticError as error:
        unparsable = isinstance(error, UnparsableStatement)
        if unparsable and isinstance(error.__cause__, RecursionError):
            return _too_complex()
        return JobFailure(
            error.sqlstate, error.message, error.detail, error.hint, error.position, unparsable
        )
    except (RecursionError, MemoryError):
        return _too_complex()


def _work(compiler: Compiler, limits: GuardLimits, job: Job) -> JobResult:
    check_depth(measure(job.sql), limits)
    bound = compiler.bind(job.sql, job.settings)
    if bound is None or job.analysis is None:
        return JobResult(None if bound is None else bound.text)
    compiled = compiler.compile(bound, job.analysis, job.settings, job.rollups)
    return JobResult(bound.text, compiled)


def _too_complex() -> JobFailure:
    return JobFailure("54001", "", None, None, None, too_complex=True)


def _receive(stream: BinaryIO) -> Job | Reading | tuple[str, Compiler, GuardLimits] | None:
    header = stream.read(_LENGTH.size)
    if len(header) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(header)
    request: Job | Reading | tuple[str, Compiler, GuardLimits] = pickle.loads(stream.read(length))
    return request


def _send(value: object) -> None:
    body = pickle.dumps(value)
    sys.stdout.buffer.write(_LENGTH.pack(len(body)) + body)
    sys.stdout.buffer.flush()
