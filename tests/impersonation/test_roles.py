"""SET ROLE and its kin answer as PostgreSQL's, and are told to the log and the audit trail."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from proxy.cli import main
from tests.reliability.support import dsn
from tests.support.oracle import OraclePostgres
from tests.support.server import RunningServer

WHO = "SELECT current_user, session_user, current_setting('role')"

SCRIPT = (
    WHO,
    "SET ROLE imp_bob",
    WHO,
    "SHOW role",
    "SHOW session_authorization",
    "SET ROLE imp_dave",
    "SHOW role",
    "SET ROLE NONE",
    WHO,
    "SET role TO imp_bob",
    "SET ROLE 'imp_carol'",
    "SET ROLE imp_alice",
    WHO,
    "RESET ROLE",
    WHO,
    "SET LOCAL ROLE imp_bob",
    "SHOW role",
    "BEGIN",
    "SET LOCAL ROLE imp_bob",
    WHO,
    "SAVEPOINT a",
    "SET ROLE imp_carol",
    WHO,
    "ROLLBACK TO a",
    WHO,
    "COMMIT",
    WHO,
    "BEGIN",
    "SET ROLE imp_bob",
    "ROLLBACK",
    WHO,
    "BEGIN",
    "SET ROLE imp_bob",
    "SELECT 1/0",
    WHO,
    "ROLLBACK",
    WHO,
    "BEGIN",
    "SET ROLE imp_bob",
    "SET LOCAL ROLE imp_carol",
    "COMMIT",
    WHO,
    "RESET ALL",
    WHO,
    "SET role = DEFAULT",
    WHO,
    "SET ROLE imp_bob",
    "SET SESSION AUTHORIZATION DEFAULT",
    WHO,
    "SET ROLE imp_bob",
    "SET SESSION AUTHORIZATION imp_alice",
    WHO,
    "SET SESSION AUTHORIZATION imp_dave",
    "RESET SESSION AUTHORIZATION",
    "SET ROLE imp_bob",
    "DISCARD ALL",
    WHO,
    "SET ROLE imp_bob; SELECT current_user",
    "SET ROLE NONE; SELECT 1/0",
    WHO,
    "SET ROLE imp_bob; SELECT pg_catalog.current_setting('role'); RESET ROLE; SELECT 1/0",
    WHO,
)


def outcome(connection: psycopg.Connection[object], sql: str) -> object:
    notices: list[str | None] = []
    connection.add_notice_handler(lambda notice: notices.append(notice.sqlstate))
    try:
        cursor = connection.execute(sql)
    except psycopg.Error as error:
        return error.sqlstate, error.diag.message_primary
    found: list[object] = [notices]
    while True:
        found.append(cursor.fetchall() if cursor.description else cursor.statusmessage)
        if not cursor.nextset():
            return found


@pytest.fixture(scope="module")
def pair(
    server: RunningServer, oracle: OraclePostgres
) -> Iterator[tuple[psycopg.Connection[object], psycopg.Connection[object]]]:
    """``imp_alice`` here, and on a PostgreSQL where she is a member of the same roles."""
    with psycopg.connect(oracle.dsn, autocommit=True) as admin:
        if not admin.execute("SELECT 1 FROM pg_roles WHERE rolname = 'imp_alice'").fetchall():
            admin.execute("CREATE ROLE imp_bob; CREATE ROLE imp_carol; CREATE ROLE imp_dave")
            admin.execute("CREATE ROLE imp_alice LOGIN; GRANT imp_bob, imp_carol TO imp_alice")
    theirs_dsn = oracle.dsn.replace("oracle@", "imp_alice@")
    with (
        psycopg.connect(theirs_dsn, autocommit=True) as theirs,
        psycopg.connect(dsn(server, "imp_alice"), autocommit=True) as ours,
    ):
        ours.prepare_threshold = theirs.prepare_threshold = None
        yield ours, theirs


Pair = tuple[psycopg.Connection[object], psycopg.Connection[object]]


def test_as_in_postgresql(pair: Pair) -> None:
    ours, theirs = pair
    for sql in SCRIPT:
        assert (sql, outcome(ours, sql)) == (sql, outcome(theirs, sql))


COMMANDS = (
    *("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT a", "SAVEPOINT b", "ROLLBACK TO a", "RELEASE a"),
    *("SET ROLE imp_bob", "SET ROLE imp_carol", "SET ROLE imp_dave", "SET ROLE NONE"),
    *("SET LOCAL ROLE imp_bob", "SET LOCAL ROLE imp_carol", "SET LOCAL ROLE NONE", "RESET ROLE"),
    *("SET SESSION AUTHORIZATION DEFAULT", "RESET ALL", "DISCARD ALL", "SELECT 1/0"),
    *("SET ROLE imp_bob; SELECT current_user; SET LOCAL ROLE imp_carol", "SET ROLE imp_bob; x"),
)


@pytest.mark.parametrize("seed", range(6))
def test_any_order_of_commands_as_in_postgresql(pair: Pair, seed: int) -> None:
    ours, theirs = pair
    draw = random.Random(seed)
    done: list[str] = []
    # The driver does not know that DISCARD ALL drops what it has prepared.
    prepared = seed % 2 == 1
    commands = [sql for sql in COMMANDS if not prepared or sql != "DISCARD ALL"]
    for connection in pair:
        connection.prepare_threshold = None
        connection.execute("ROLLBACK")
        connection.execute("DISCARD ALL")
        connection.prepare_threshold = 1 if prepared else None
    for _ in range(120):
        for sql in (draw.choice(commands), WHO):
            done.append(sql)
            assert outcome(ours, sql) == outcome(theirs, sql), "; ".join(done[-16:])


def test_the_startup_packet_may_ask_for_a_role(server: RunningServer) -> None:
    options = "'-c role=imp_bob'"
    with psycopg.connect(dsn(server, "imp_alice", options=options), autocommit=True) as connection:
        assert connection.execute(WHO).fetchone() == ("imp_bob", "imp_alice", "imp_bob")
        connection.execute("SET ROLE NONE")
        assert connection.execute("SELECT current_user").fetchone() == ("imp_alice",)
        for command in ("RESET ROLE", "DISCARD ALL"):
            connection.execute("SET ROLE imp_carol")
            connection.execute(command)
            assert connection.execute("SELECT current_user").fetchone() == ("imp_bob",)
    with pytest.raises(psycopg.OperationalError, match='permission denied to set role "imp_dave"'):
        psycopg.connect(dsn(server, "imp_alice", options="'-c role=imp_dave'"))


def test_whom_nothing_is_known_of_cannot_be_acted_for(server: RunningServer) -> None:
    with psycopg.connect(dsn(server, "imp_alice"), autocommit=True) as connection:
        with pytest.raises(psycopg.Error, match='role "imp_gone" does not exist') as refused:
            connection.execute("SET ROLE imp_gone")
        assert refused.value.sqlstate == "22023"
        # Whether others exist is not told to who may not act for them.
        for name in ("imp_dave", "imp_nobody"):
            with pytest.raises(psycopg.Error) as refused:
                connection.execute(f"SET ROLE {name}")
            assert refused.value.sqlstate == "42501"
            assert refused.value.diag.message_primary == f'permission denied to set role "{name}"'
    with (
        psycopg.connect(dsn(server, "imp_dave"), autocommit=True) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute("SET ROLE imp_bob")


def test_a_user_who_is_removed_ends_the_sessions_that_act_for_them(
    server: RunningServer, folder: Path
) -> None:
    config = ["--config", str(folder / "cubewire.yml")]
    assert main(["users", "add", "imp_temp", "--no-password", *config]) == 0
    with psycopg.connect(dsn(server, "imp_alice"), autocommit=True) as connection:
        connection.execute("SET ROLE imp_temp")
        assert connection.execute("SELECT current_user FROM tiny").fetchone() == ("imp_temp",)
        assert main(["users", "remove", "imp_temp", *config]) == 0
        messages: list[str] = []
        end = time.monotonic() + 60
        while not messages and time.monotonic() < end:
            try:
                connection.execute("SELECT current_user FROM tiny")
            except psycopg.OperationalError as error:
                messages.append(str(error))
            time.sleep(0.1)
        assert messages
        assert 'role "imp_temp" does not exist' in messages[0]
        assert connection.closed


def test_session_authorization(server: RunningServer) -> None:
    with psycopg.connect(dsn(server, "imp_boss"), autocommit=True) as connection:
        connection.execute("SET SESSION AUTHORIZATION imp_bob")
        assert connection.info.parameter_status("session_authorization") == "imp_bob"
        who = "SELECT current_user, session_user FROM tiny LIMIT 1"
        assert connection.execute(who).fetchone() == ("imp_bob", "imp_bob")
        connection.execute("SET ROLE imp_carol")
        assert connection.execute(who).fetchone() == ("imp_carol", "imp_bob")
        assert connection.execute(WHO).fetchone() == ("imp_carol", "imp_bob", "imp_carol")
        connection.execute("SET ROLE NONE")
        assert connection.execute(who).fetchone() == ("imp_bob", "imp_bob")
        connection.execute("RESET SESSION AUTHORIZATION")
        assert connection.execute(WHO).fetchone() == ("imp_boss", "imp_boss", "none")


def test_two_may_act_for_each_other(server: RunningServer) -> None:
    with psycopg.connect(dsn(server, "imp_boss"), autocommit=True) as connection:
        for one, other in (("imp_bob", "imp_carol"), ("imp_carol", "imp_bob")):
            connection.execute(f"SET SESSION AUTHORIZATION {one}")
            connection.execute(f"SET ROLE {other}")
            assert connection.execute(WHO).fetchone() == (other, one, other)


def test_set_config_does_not_change_the_role(server: RunningServer) -> None:
    with psycopg.connect(dsn(server, "imp_alice"), autocommit=True) as connection:
        for name in ("imp_bob", "imp_carol"):
            connection.execute(f"SET ROLE {name}")
            connection.execute("SELECT current_user")  # the catalog now lets alice be both
        with pytest.raises(psycopg.Error) as refused:
            connection.execute("SELECT set_config('role', 'imp_bob', false)")
        assert refused.value.sqlstate == "0A000"
        assert connection.execute("SELECT current_user").fetchone() == ("imp_carol",)
        connection.execute("RESET ROLE")
        with pytest.raises(psycopg.Error) as refused:
            connection.execute("SELECT set_config('role', 'imp_bob', false)")
        with pytest.raises(psycopg.Error):
            connection.execute("SELECT set_config('session_authorization', 'imp_bob', false)")
        assert connection.execute(WHO).fetchone() == ("imp_alice", "imp_alice", "none")
        assert connection.execute("SELECT current_user FROM tiny LIMIT 1").fetchone() == (
            "imp_alice",
        )


def test_others_statements_stay_hidden(server: RunningServer) -> None:
    with (
        psycopg.connect(dsn(server, "imp_bob"), autocommit=True) as bob,
        psycopg.connect(dsn(server, "imp_alice"), autocommit=True) as alice,
    ):
        bob.execute("SELECT 'told to bob'")
        alice.execute("SET ROLE imp_bob")
        seen = alice.execute("SELECT usename, query FROM pg_stat_activity").fetchall()
        assert {name for name, _ in seen} == {"imp_alice"}
        cancel = f"SELECT pg_cancel_backend({bob.info.backend_pid})"
        assert alice.execute(cancel).fetchone() == (False,)


def test_the_log_and_the_trail_say_both(server: RunningServer, folder: Path) -> None:
    with psycopg.connect(dsn(server, "imp_alice"), autocommit=True) as connection:
        pid = connection.info.backend_pid
        connection.execute("SET ROLE imp_bob")
        connection.execute("SELECT letter FROM tiny")
        connection.execute("RESET ROLE")
        connection.execute("SELECT letter FROM tiny WHERE __user = 'imp_carol'")
        with pytest.raises(psycopg.Error):
            connection.execute("SELECT letter FROM tiny WHERE __user = 'imp_dave'")
    rows: list[dict[str, object]] = []
    end = time.monotonic() + 10
    while not any(row["event"] == "refusal" for row in rows) and time.monotonic() < end:
        lines = (folder / "audit.jsonl").read_text().splitlines()
        rows = [row for row in map(json.loads, lines) if row.get("session") == pid]
    read = [row for row in rows if row["event"] == "statement" and row["kind"] == "cube"]
    assert [(row["user"], row["login"]) for row in read] == [
        ("imp_bob", "imp_alice"),
        ("imp_carol", "imp_alice"),
    ]
    acted = [row for row in rows if row["event"] == "impersonation"]
    assert [(row["command"], row["target"], row["outcome"]) for row in acted] == [
        ("SET ROLE", "imp_bob", "granted"),
        ("RESET ROLE", "imp_alice", "granted"),
        ("__user", "imp_carol", "granted"),
        ("__user", "imp_dave", "refused"),
    ]
    assert any("user=imp_alice acts_for=imp_carol" in line for line in server.log)
