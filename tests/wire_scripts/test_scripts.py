"""Every wire script holds against real PostgreSQL, and against our server where one is running.

``pytest tests/wire_scripts --rewrite`` (or ``REWRITE=1`` in the environment) makes the expected
parts anew from PostgreSQL; the difference is then read, not believed.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.addresses import Address, named_address, postgres_address, server_address
from tests.support.oracle import OraclePostgres
from tests.support.pgtest import Runner, ScriptError, parse_script

SCRIPTS = sorted(Path(__file__).parent.glob("*.pgtest"))
MOST_LINES = 300


def _rewriting(request: pytest.FixtureRequest) -> bool:
    asked = request.config.getoption("--rewrite", default=False)
    return bool(asked) or bool(os.environ.get("REWRITE"))


@pytest.fixture
def proxy(request: pytest.FixtureRequest) -> Address:
    """Our own server: the one that CUBEWIRE_TEST_ADDRESS names, or one started for the tests."""
    return named_address() or server_address(request.getfixturevalue("cubewire_server"))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_postgres(path: Path, oracle: OraclePostgres, request: pytest.FixtureRequest) -> None:
    script = parse_script(path, path.read_text())
    rewrite = _rewriting(request)
    differences = Runner(postgres_address(oracle)).play(script, rewrite=rewrite)
    if rewrite:
        path.write_text(script.text())
    assert not differences, "\n".join(["", *differences])


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_proxy(path: Path, proxy: Address) -> None:
    script = parse_script(path, path.read_text())
    differences = Runner(proxy).play(script)
    assert not differences, "\n".join(["", *differences])


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_scripts_are_small_and_print_themselves(path: Path) -> None:
    text = path.read_text()
    assert parse_script(path, text).text() == text
    assert text.count("\n") <= MOST_LINES


BAD = {
    "no reason": ("send only=proxy\nSync\n", "needs a reason"),
    "empty reason": ("#\nsend only=proxy\nSync\n", "needs a reason"),
    "a reason elsewhere": ("# why\n\nsend only=proxy\nSync\n", "needs a reason"),
    "no such server": ("# why\nsend only=mysql\nSync\n", "neither proxy nor postgres"),
    "no such directive": ("shout\nSync\n", "unknown directive"),
    "no such option": ("send loud=1\nSync\n", "unknown option"),
    "no such message": ("send\nSunk\n", "unknown message 'Sunk'"),
    "no such field": ('send\nQuery {"text": ""}\n', "no field"),
    "no such answer": ("until Godot\n----\n", "unknown message 'Godot'"),
    "until what": ("until\n----\n", "needs the name"),
    "nothing sent": ("send\n", "expects nothing"),
    "stray line": ("until NoData\nSync\n", "unexpected line"),
    "bad value": ('send\nCopyData {"data": 5}\n', "neither text"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_scripts_are_refused(case: str) -> None:
    text, reason = BAD[case]
    with pytest.raises(ScriptError, match=reason):
        parse_script(Path("bad.pgtest"), text)


def test_a_reason_right_above_is_enough() -> None:
    text = "# we do not copy in\nsend only=postgres\nSync\n"
    (block,) = parse_script(Path("good.pgtest"), text).blocks
    assert block.runs_on("postgres")
    assert not block.runs_on("proxy")
