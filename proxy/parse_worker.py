"""A process for statements too large to be compiled on the event loop.

It is started when the first one comes, compiles one at a time, and is killed and replaced when one
takes longer than its deadline. Values go to and fro as length-prefixed pickles over pipes that only
the two processes hold.
"""

from __future__ import annotations

import asyncio
import pickle
import struct
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from proxy.parse_process import (
    MOST_COMPILERS,
    Job,
    JobFailure,
    JobResult,
    Reading,
    ReadingResult,
)
from semantic.compiler.api import Analysis, CompiledStatement, SessionSettings
from semantic.compiler.compiler import Compiler
from semantic.compiler.guard import GuardLimits
from semantic.compiler.parse import UnparsableStatement
from semantic.compiler.positions import EditedText
from semantic.compiler.rollups.api import NONE, RollupCandidates
from semantic.compiler.statements import Statement, StatementText
from semantic.errors import SemanticError

_LENGTH = struct.Struct("!Q")
_ROOT = Path(__file__).resolve().parent.parent
_PROGRAM = "from proxy.parse_process import main; main()"
"""Not ``-m``: values of the module run as a program are not of the same classes as ours."""
START_SECONDS = 30.0
"""What a process has to come up in, also on a busy machine."""
QUEUE_SECONDS = 10.0
"""How long a large statement waits for those before it."""


@dataclass(frozen=True, slots=True)
class RemoteBinding:
    """A statement bound in the worker: what the catalog is asked, and the way back."""

    text: EditedText

    @property
    def analysis_sql(self) -> str:
        """What PostgreSQL parses."""
        return self.text.text

    def client_position(self, position: int) -> int:
        """A position in ``analysis_sql`` as one in the client's text."""
        return self.text.client_position(position)


class ParseWorker:
    """One worker process, shared by the sessions of a server."""

    def __init__(self, limits: GuardLimits, deadline: float) -> None:
        self._limits = limits
        self._deadline = deadline
        self._lock = asyncio.Lock()
        self._process: asyncio.subprocess.Process | None = None
        self._versions: set[str] = set()
        self._closed = False
        self._renewal: asyncio.Task[None] | None = None

    async def bind(
        self, compiler: Compiler, version: str, sql: str, settings: SessionSettings
    ) -> RemoteBinding | None:
        """As ``Compiler.bind``, within the deadline.

        Raises SemanticError 54000 past it, 54001 where the text is nested too deep.
        """
        result = await self._run(compiler, version, Job(version, sql, settings, None))
        assert isinstance(result, JobResult)
        return None if result.text is None else RemoteBinding(result.text)

    async def compile(
        self,
        compiler: Compiler,
        version: str,
        sql: str,
        analysis: Analysis,
        settings: SessionSettings,
        rollups: RollupCandidates = NONE,
    ) -> CompiledStatement:
        """As ``Compiler.bind`` and ``Compiler.compile``, within the deadline."""
        job = Job(version, sql, settings, analysis, rollups)
        result = await self._run(compiler, version, job)
        assert isinstance(result, JobResult)
        if result.compiled is None:
            raise SemanticError("XX000", "the worker compiled nothing")
        return result.compiled

    async def split(self, compiler: Compiler, version: str, sql: str) -> tuple[StatementText, ...]:
        """As ``statements.split``, within the deadline."""
        result = await self._run(compiler, version, Reading(sql, whole=False))
        assert isinstance(result, ReadingResult)
        return result.parts

    async def read(self, compiler: Compiler, version: str, text: str) -> Statement:
        """As ``statements.parse_statement``, within the deadline."""
        result = await self._run(compiler, version, Reading(text, whole=True))
        assert isinstance(result, ReadingResult)
        assert result.statement is not None
        return result.statement

    async def close(self) -> None:
        """End the process."""
        self._closed = True
        async with self._lock:
            await self._kill()

    async def _run(
        self, compiler: Compiler, version: str, job: Job | Reading
    ) -> JobResult | ReadingResult:
        await self._take_turn()
        try:
            answer = await self._ask(compiler, version, job)
        finally:
            self._lock.release()
            if self._process is None and not self._closed:
                self._renewal = asyncio.create_task(self._renew(compiler, version))
        if isinstance(answer, JobFailure):
            raise _error(answer)
        assert isinstance(answer, JobResult | ReadingResult)
        return answer

    async def _take_turn(self) -> None:
        try:
            async with asyncio.timeout(QUEUE_SECONDS):
                await self._lock.acquire()
        except TimeoutError:
            raise SemanticError(
                "53000", "too many large statements at once", hint="Try again in a moment."
            ) from None

    async def _renew(self, compiler: Compiler, version: str) -> None:
        """Start the next process before it is needed."""
        async with self._lock:
            if not self._closed:
                with suppress(SemanticError):
                    await self._started(compiler, version)

    async def _ask(self, compiler: Compiler, version: str, job: Job | Reading) -> object:
        process = await self._started(compiler, version)
        try:
            async with asyncio.timeout(self._deadline):
                return await _exchange(process, job)
        except TimeoutError:
            await self._kill()
            raise SemanticError(
                "54000",
                f"statement took longer than {self._deadline:g} s to understand",
                hint="Simplify it, or raise parser.parse_deadline.",
            ) from None
        except (OSError, EOFError, asyncio.IncompleteReadError):
            await self._kill()
            raise _too_complex() from None
        except BaseException:
            # It may still answer, to whoever asks next.
            await self._kill()
            raise

    async def _started(self, compiler: Compiler, version: str) -> asyncio.subprocess.Process:
        """The running process, holding the compiler of this model version.

        Raises SemanticError 53000 where it does not come up in time.
        """
        try:
            if self._process is None or self._process.returncode is not None:
                self._process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-c",
                    _PROGRAM,
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    cwd=_ROOT,
                )
                self._versions.clear()
            if version not in self._versions:
                async with asyncio.timeout(START_SECONDS):
                    await _exchange(self._process, (version, compiler, self._limits))
                if len(self._versions) >= MOST_COMPILERS:
                    self._versions.clear()
                self._versions.add(version)
        except BaseException as error:
            # What it still answers would be taken for the answer to the next statement.
            await self._kill()
            if isinstance(error, OSError | EOFError):  # TimeoutError is one
                raise _not_ready() from error
            raise
        return self._process

    async def _kill(self) -> None:
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            process.kill()
            await process.wait()


async def _exchange(process: asyncio.subprocess.Process, value: object) -> object:
    assert process.stdin is not None
    assert process.stdout is not None
    body = pickle.dumps(value)
    process.stdin.write(_LENGTH.pack(len(body)) + body)
    await process.stdin.drain()
    (length,) = _LENGTH.unpack(await process.stdout.readexactly(_LENGTH.size))
    return pickle.loads(await process.stdout.readexactly(length))


def _error(failure: JobFailure) -> SemanticError:
    if failure.too_complex:
        return _too_complex()
    kind = UnparsableStatement if failure.unparsable else SemanticError
    return kind(
        failure.sqlstate,
        failure.message,
        detail=failure.detail,
        hint=failure.hint,
        position=failure.position,
    )


def _not_ready() -> SemanticError:
    return SemanticError(
        "53000", "large statements cannot be read now", hint="Try again in a moment."
    )


def _too_complex() -> SemanticError:
    return SemanticError(
        "54001", "statement is too complex", hint="Write it with fewer operators in a chain."
    )
