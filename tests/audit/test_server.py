"""The trail of a server: what happened stands in it, and what was seen does not."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from proxy.cli import main
from tests.reliability.support import dsn, serving
from tests.support.server import RunningServer

Row = dict[str, object]
WORD = "kept-secret-value"
PARAMETER = "secret-parameter"


def until(condition: Callable[[], object], seconds: float = 40.0) -> object:
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end
        time.sleep(0.02)
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("audited")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[RunningServer]:
    audit = {"sink": "file", "file": "audit.jsonl", "chain": True, "required": True}
    with serving(folder, audit=audit, words={1: WORD}, server__admin_port=0) as running:
        yield running


def lines(folder: Path, event: str, **wanted: object) -> list[Row]:
    """Waits for the writer: the first lines that fit."""

    def find() -> list[Row]:
        rows = [json.loads(line) for line in (folder / "audit.jsonl").read_text().splitlines()]
        return [
            row
            for row in rows
            if row["event"] == event and all(row.get(key) == value for key, value in wanted.items())
        ]

    return until(find)  # type: ignore[return-value]


def test_logins(server: RunningServer, folder: Path) -> None:
    with psycopg.connect(dsn(server, application_name="report")) as connection:
        pid = connection.info.backend_pid
    (row,) = lines(folder, "login", session=pid)
    kept = ("outcome", "user", "database", "application", "address", "tls", "sqlstate", "method")
    assert [row[key] for key in kept] == [
        "success",
        "demo",
        "cubewire",
        "report",
        "127.0.0.1",
        False,
        "00000",
        "scram",
    ]
    wrong = dsn(server).replace("password=demo", "password=wrong-one")
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(wrong)
    (row,) = lines(folder, "login", outcome="failure")
    assert (row["user"], row["sqlstate"]) == ("demo", "28P01")
    assert row["reason"]
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(dsn(server).replace("dbname=cubewire", "dbname=other"))
    assert lines(folder, "login", outcome="failure", sqlstate="3D000")


def test_statements(server: RunningServer, folder: Path) -> None:
    with psycopg.connect(dsn(server, application_name="s1"), autocommit=True) as connection:
        connection.execute("SELECT word FROM words WHERE id = %s AND word <> %s", (1, PARAMETER))
        connection.execute("SELECT 1")
        connection.execute("SET TimeZone = 'UTC'")
        pid = connection.info.backend_pid
    read = lines(folder, "statement", session=pid, kind="cube")
    assert [row["relations"] for row in read] == [["words"]]
    kept = ("user", "login", "application", "address", "sqlstate", "rows")
    assert [read[0][key] for key in kept] == ["demo", "demo", "s1", "127.0.0.1", "00000", 1]
    assert str(read[0]["statement"]).startswith(f"{pid}-")
    assert 0 < float(str(read[0]["ms"])) < 60_000
    assert "sql" not in read[0]
    with psycopg.connect(dsn(server)) as connection:
        connection.execute("DECLARE c CURSOR FOR SELECT word FROM words")
        connection.execute("FETCH 1 FROM c")
        cursor_pid = connection.info.backend_pid
    until(lambda: len(lines(folder, "statement", session=cursor_pid)) == 4)
    done = lines(folder, "statement", session=cursor_pid)  # BEGIN, DECLARE, FETCH, COMMIT
    assert [row.get("relations") for row in done] == [None, ["words"], ["words"], None]
    assert lines(folder, "statement", session=pid, kind="catalog")
    assert lines(folder, "statement", session=pid, kind="utility")


REFUSED = {
    "42501": "SELECT pg_read_file('/etc/passwd') FROM words",
    "25006": "DELETE FROM words",
    "0A000": "LISTEN x",
}


@pytest.mark.parametrize("sqlstate", REFUSED)
@pytest.mark.parametrize("prepared", [False, True])
def test_refusals(server: RunningServer, folder: Path, sqlstate: str, prepared: bool) -> None:
    with psycopg.connect(dsn(server), autocommit=True) as connection:
        pid = connection.info.backend_pid
        with pytest.raises(psycopg.Error) as refused:
            connection.execute(REFUSED[sqlstate], prepare=prepared)
    assert refused.value.sqlstate == sqlstate
    found = lines(folder, "refusal", session=pid)
    assert [row["sqlstate"] for row in found] == [sqlstate]


def test_what_is_done_to_sessions(server: RunningServer, folder: Path) -> None:
    with (
        psycopg.connect(dsn(server), autocommit=True) as first,
        psycopg.connect(dsn(server, "other"), autocommit=True) as other,
    ):
        target = first.info.backend_pid
        other.execute("SELECT pg_terminate_backend(%s::int)", (target,))
        assert lines(folder, "administration", target=str(target), outcome="failed", login="other")
        with psycopg.connect(dsn(server), autocommit=True) as same:
            same.execute("SELECT pg_terminate_backend(%s::int)", (target,))
        (row,) = lines(folder, "administration", target=str(target), outcome="done")
        assert (row["action"], row["login"]) == ("pg_terminate_backend", "demo")


def test_no_values_and_no_credentials_and_the_chain_holds(
    server: RunningServer, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with psycopg.connect(dsn(server)) as connection:
        assert connection.execute("SELECT word FROM words").fetchall() == [(WORD,)]
        pid = connection.info.backend_pid
    lines(folder, "statement", session=pid, kind="cube")
    text = (folder / "audit.jsonl").read_text()
    for secret in (WORD, PARAMETER, "wrong-one", "SCRAM-SHA-256$"):
        assert secret not in text
    call = ["audit", "verify", str(folder / "audit.jsonl")]
    call += ["--config", str(folder / "cubewire.yml")]
    until(lambda: main(call) == 0)  # the newest line may just be on its way
    assert "worker-0: intact" in capsys.readouterr().out


def test_service_stops_while_the_trail_cannot_be_kept(tmp_path: Path) -> None:
    audit = {"sink": "file", "file": "audit.jsonl", "required": True, "sql": True}
    port = 25_617
    with serving(tmp_path, audit=audit, server__admin_port=port) as running:
        file = tmp_path / "audit.jsonl"
        with psycopg.connect(dsn(running), autocommit=True) as connection:
            connection.execute("SELECT letter FROM tiny")
            file.rename(tmp_path / "old.jsonl")
            file.mkdir()  # now no file can be made there

            def refused() -> str | None:
                try:
                    connection.execute("SELECT letter FROM tiny")
                except psycopg.Error as error:
                    return error.sqlstate
                return None

            assert until(refused) == "58030"
            assert ready(port) == (503, ["the audit trail cannot be written: Is a directory"])
            with pytest.raises(psycopg.OperationalError, match="audit trail cannot be written"):
                psycopg.connect(dsn(running))
            file.rmdir()
            until(lambda: refused() is None)
            assert ready(port) == (200, [])
    kept = [json.loads(line) for name in ("old", "audit") for line in _lines(tmp_path, name)]
    assert [row["seq"] for row in kept] == list(range(1, len(kept) + 1))
    assert any(row.get("sql") == "SELECT letter FROM tiny" for row in kept)


def _lines(folder: Path, name: str) -> list[str]:
    return (folder / f"{name}.jsonl").read_text().splitlines()


def ready(port: int) -> tuple[int, list[str]]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=30) as answer:
            return answer.status, json.load(answer)["problems"]
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)["problems"]
