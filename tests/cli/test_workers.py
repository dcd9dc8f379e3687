"""The parent of workers, with small programs in their place."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from pathlib import Path

import pytest

from proxy.cli import workers as workers_module
from proxy.cli.workers import Workers

GOOD = """
import signal, sys, time, pathlib
number = sys.argv[sys.argv.index("--worker") + 1]
folder = pathlib.Path(sys.argv[1])
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
with (folder / f"starts{number}").open("a") as file:
    file.write("x")
print(f"ready dsn{number}", flush=True)
while True:
    time.sleep(0.05)
    if (folder / f"die{number}").exists():
        (folder / f"die{number}").unlink()
        sys.exit(3)
"""
BAD = "import sys; sys.exit(5)"


def family(program: str, folder: Path, count: int = 2) -> Workers:
    return Workers([sys.executable, "-c", program, str(folder)], count)


async def until(condition) -> None:
    async with asyncio.timeout(40):
        while not condition():
            await asyncio.sleep(0.02)


async def test_ready_once_then_signals_are_forwarded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parent = family(GOOD, tmp_path)
    task = asyncio.create_task(parent.run())
    await until(lambda: parent._announced)
    assert capsys.readouterr().out == "ready dsn0\n"
    os.kill(os.getpid(), signal.SIGTERM)
    assert await asyncio.wait_for(task, 40) == 0


async def test_a_worker_that_dies_is_named_and_replaced(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(workers_module, "RESTART_SECONDS", 0.05)
    caplog.set_level(logging.ERROR)
    parent = family(GOOD, tmp_path)
    task = asyncio.create_task(parent.run())
    await until(lambda: parent._announced)
    (tmp_path / "die1").touch()
    await until(lambda: (tmp_path / "starts1").read_text() == "xx")
    (record,) = caplog.records
    assert record.getMessage() == "worker died, starting another"
    assert record.fields == {"worker": 1, "exit_code": 3}
    assert (tmp_path / "starts0").read_text() == "x"
    await until(lambda: parent._workers[1].ready is not None)
    os.kill(os.getpid(), signal.SIGINT)
    await asyncio.sleep(0.2)
    assert capsys.readouterr().out == "ready dsn0\n"
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(task, 40)


async def test_a_worker_that_never_serves_ends_them_all(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    program = f"import sys\nif '1' in sys.argv:\n    {BAD}\n" + GOOD
    parent = family(program, tmp_path)
    assert await asyncio.wait_for(parent.run(), 40) == 5
    assert "worker did not start" in caplog.text
    assert capsys.readouterr().out == ""
