"""Servers of tests are forked by a process that has loaded them: they are what the command is."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.forked import ForkedProcess, fork_command
from tests.support.server import COMMAND, REPOSITORY


def run(*arguments: str, **environment: str) -> ForkedProcess:
    return fork_command([COMMAND, *arguments], {**os.environ, **environment}, REPOSITORY)


@pytest.fixture
def waiting(tmp_path: Path) -> Iterator[ForkedProcess]:
    """A server that starts."""
    process = run("serve", "--demo", "--port", "0", CUBEWIRE_STATE_DIRECTORY=str(tmp_path))
    yield process
    process.kill()
    process.wait(20)
    process.stdout.close()
    process.stderr.close()


@pytest.mark.parametrize("arguments", [["version"], ["serve", "--absent"], ["--help"], ["compile"]])
def test_what_it_says_and_returns_is_as_the_command_does(arguments: list[str]) -> None:
    process = run(*arguments)
    with process.stdout as out, process.stderr as err:
        said = out.read(), err.read()
    real = subprocess.run([COMMAND, *arguments], capture_output=True, text=True, check=False)
    assert (process.wait(20), *said) == (real.returncode, real.stdout, real.stderr)


def test_its_environment_is_the_one_given() -> None:
    process = run("serve", "--demo", CUBEWIRE_ABSENT__KEY="1")
    with process.stdout, process.stderr as err:
        assert 'unknown key "absent"' in err.read()
    assert process.wait(20) == 2


def test_signals(waiting: ForkedProcess) -> None:
    assert waiting.stdout.readline().startswith("ready ")
    assert waiting.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        waiting.wait(0.01)
    waiting.send_signal(signal.SIGKILL)
    assert waiting.wait(20) == waiting.poll() == -signal.SIGKILL
    waiting.terminate()  # of one that has ended: nothing


def test_it_ends_as_asked(waiting: ForkedProcess) -> None:
    assert waiting.stdout.readline().startswith("ready ")
    waiting.terminate()
    assert waiting.wait(30) == 0
