"""psql: what it shows of our server is what it shows of PostgreSQL."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.e2e.targets import Pair, Target, run_client
from tests.e2e.terminal import Terminal
from tests.support.oracle import binaries

SCRIPTS = Path(__file__).parent / "testdata" / "psql"

UNGROUPED = "HINT:  MEASURE() and other aggregates are over groups of rows: "
NOT_SHOWN = {
    "Policies:": "what guards a cube's table in the catalog; the mirror's tables need no guard",
    'POLICY "warehouse" FOR SELECT': "the same",
    "USING (answered_by_warehouse())": "the same",
    "CONTEXT:  unnamed portal parameter $1 = '...'": "which parameter it was is not said",
    f"{UNGROUPED}add flights.carrier to GROUP BY, or leave it out.": "PostgreSQL has no hint here",
    'HINT:  Perhaps you meant "airlines".': "the same",
    'HINT:  Perhaps you meant "public.airlines".': "the same",
    'ERROR:  role "nobody" does not exist': "those one may not act for are told alike",
    'ERROR:  permission denied to set role "nobody"': "the same",
}
"""Lines that are left out of the comparison, each with its reason."""


def _programs() -> list[object]:
    wheel = binaries() / "psql"
    found = {"psql": shutil.which("psql"), "psql16": str(wheel) if wheel.exists() else None}
    return [
        pytest.param(
            str(path),
            id=name,
            marks=[
                pytest.mark.client,
                pytest.mark.skipif(path is None, reason=f"{name} is not installed"),
            ],
        )
        for name, path in found.items()
    ]


each_psql = pytest.mark.parametrize("program", _programs())


def psql(
    program: str, target: Target, *arguments: str, given: str | None = None, **more: str
) -> str:
    """All that psql writes, errors in their place."""
    environment = {**target.environment, "PAGER": "cat", "LC_ALL": "C.UTF-8", **more}
    done = subprocess.run(
        [program, "-X", *arguments],
        input=given,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        env=environment,
        check=False,
    )
    return done.stdout


def shown(text: str) -> list[str]:
    """The lines without what differs by design, and with one name for the tables' owner."""
    return [
        line.replace("pg_cubewire", "oracle").rstrip()
        for line in text.splitlines()
        if line.strip() not in NOT_SHOWN
    ]


def scripts() -> list[object]:
    return [pytest.param(path, id=path.stem) for path in sorted(SCRIPTS.iterdir())]


@each_psql
@pytest.mark.parametrize("path", scripts())
def test_script(program: str, path: Path, pair: Pair) -> None:
    if path.suffix == ".psql16" and "PostgreSQL) 15" in run_client([program, "-V"], os.environ)[1]:
        pytest.skip("psql 15 has no \\bind")
    lines = path.read_text()
    # -a echoes each line, so that a difference says where it is.
    mine = shown(psql(program, pair.ours, "-a", given=lines))
    theirs = shown(psql(program, pair.postgres, "-a", given=lines))
    assert mine == theirs
    assert len(mine) > lines.count("\n")


@each_psql
def test_lists(program: str, ours: Target) -> None:
    """What lists the server itself: one database, one role."""
    databases = psql(program, ours, "-At", "-c", r"\l").splitlines()
    assert [line.split("|")[0] for line in databases if "|" in line] == ["cubewire"]
    assert "demo|" in psql(program, ours, "-At", "-c", r"\du")
    rights = psql(program, ours, "-At", "-c", r"\dp")
    assert "public|flights|table|" in rights
    assert "public|flight_overview|view|" in rights
    sizes = psql(program, ours, "-At", "-c", r"\dt+ air*")
    assert [line.split("|")[1] for line in sizes.splitlines()] == ["airlines", "airports"]


@each_psql
def test_positions_where_postgresql_gives_none(program: str, ours: Target) -> None:
    """An error that says where: better than PostgreSQL, and at the right place."""
    for statement, word in (
        ("COPY nothing TO STDOUT", "nothing"),
        ("SELECT a.faa FROM airports a, airlines AS a", "airlines"),
    ):
        lines = psql(program, ours, "-c", statement).splitlines()
        assert lines[2].index("^") - len("LINE 1: ") == statement.index(word)


def skip_without_tls(program: str) -> None:
    _, _, said = run_client([program, "-X", "-l"], {**os.environ, "PGSSLMODE": "require"})
    if "SSL support is not compiled in" in said:
        pytest.skip("this psql was built without TLS")


@each_psql
@pytest.mark.parametrize("mode", ["disable", "allow", "prefer", "require"])
def test_encryption(program: str, ours: Target, mode: str) -> None:
    skip_without_tls(program)
    seen = psql(program, ours, "-At", "-c", r"\conninfo", "-c", "SELECT 1", PGSSLMODE=mode)
    assert seen.splitlines()[-1] == "1"
    assert ("SSL connection (protocol: TLSv1." in seen) == (mode in ("prefer", "require"))


@each_psql
@pytest.mark.parametrize("mode", ["disable", "prefer", "require"])
def test_channel_binding(program: str, ours: Target, mode: str) -> None:
    """With ``require``, psql insists on SCRAM-SHA-256-PLUS over TLS."""
    skip_without_tls(program)
    more = {"PGSSLMODE": "require", "PGCHANNELBINDING": mode}
    assert psql(program, ours, "-At", "-c", "SELECT 'in'", **more) == "in\n"
    if mode == "require":
        refused = psql(program, ours, "-c", "SELECT 1", **{**more, "PGSSLMODE": "disable"})
        assert "channel binding required" in refused


@each_psql
def test_refused_logins(program: str, ours: Target) -> None:
    wrong = psql(program, ours, "-c", "SELECT 1", PGPASSWORD="wrong")
    assert 'FATAL:  password authentication failed for user "demo"' in wrong
    nobody = psql(program, ours, "-c", "SELECT 1", PGUSER="nobody")
    assert 'FATAL:  password authentication failed for user "nobody"' in nobody
    nowhere = psql(program, ours, "-c", "SELECT 1", PGDATABASE="nowhere")
    assert 'FATAL:  database "nowhere" does not exist' in nowhere


@each_psql
def test_exit_codes(program: str, ours: Target) -> None:
    options = [program, "-X", "-q", "-v", "ON_ERROR_STOP=1"]
    assert run_client([*options, "-c", "SELECT 1"], ours.environment)[0] == 0
    assert run_client([*options, "-c", "SELECT nope FROM flights"], ours.environment)[0] == 1
    code, out, _ = run_client(
        [*options, "-At"], ours.environment, given="SELECT 1;\nSELECT 1/0;\nSELECT 3;\n"
    )
    assert (code, out) == (3, "1\n")
    code, out, _ = run_client([*options, "-1", "-c", "SELECT 1"], ours.environment)
    assert code == 0


@each_psql
def test_import_is_refused(program: str, ours: Target) -> None:
    """COPY FROM fails cleanly, and the session goes on."""
    given = "\\copy airlines FROM '/dev/null'\nSELECT 'on';\n"
    out = psql(program, ours, "-At", given=given).splitlines()
    assert out[0] == "ERROR:  cannot execute COPY FROM in a read-only transaction"
    assert out[1].startswith("HINT:  ")
    assert out[2:] == ["on"]


COMPLETIONS = [
    ("SELECT * FROM fligh\t", "flight"),
    ("SELECT * FROM airl\t", "airlines"),
    (r"\d pla" + "\t", "planes"),
    ("SELECT count(*) FROM public.wea\t", "weather"),
    ("SET search_path TO pub\t", "public"),
    (r"\c cube" + "\t", "cubewire"),
]


@each_psql
def test_completion(program: str, ours: Target) -> None:
    """TAB sends queries of its own and completes the word."""
    with Terminal([program, "-X"], ours.environment) as terminal:
        terminal.expect("=> ")
        for typed, completed in COMPLETIONS:
            terminal.send(typed)
            terminal.expect(typed.rstrip("\t").rsplit(maxsplit=1)[0])
            terminal.expect(completed.rsplit(".", 1)[-1])
            terminal.send("\x15\r")
            terminal.expect("=> ")
