"""Logins by rule against the server itself, with the drivers that its users have."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import jwt
import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests.auth.authority import Authority
from tests.support.canary import slowness
from tests.support.server import RunningServer, start_server

RULES: list[dict[str, Any]] = [
    {"user": "root", "method": "reject"},
    {"user": "plain", "tls": "require", "method": "password", "session_lifetime": 2},
    {
        "user": "/token_.*/",
        "tls": "require",
        "method": "jwt",
        "jwks_file": "keys.json",
        "issuer": "https://idp.example",
        "audience": "cubewire",
        "clock_skew": 0,
        "algorithms": "ES256",
        "groups_claim": "realm.groups",
        "attributes_claims": {"airport": "airport"},
    },
    {"user": "machine", "method": "certificate", "user_map": {"etl.example": "machine"}},
    {"user": "both", "method": "scram", "client_certificate": "match"},
    {
        "user": "hooked",
        "tls": "require",
        "method": "python",
        "function": "live_hook:check",
        "timeout": 60,
    },
    {"user": ["anna", "bert", "carl"], "address": "127.0.0.0/8", "method": "scram"},
]
LOGIN_SECONDS = 10
HOOK = """
import asyncio

async def check(request, password):
    await asyncio.sleep({"patience": 2, "sleep": 60}.get(password, 0.1))
    return {"groups": ["x"]} if password in ("right", "patience", "sleep") else None
"""
MODEL = {
    "cubes": [
        {
            "name": "flights",
            "sql_table": "flights",
            "dimensions": [{"name": "origin", "type": "string", "sql": "{CUBE}.origin"}],
            "access_policy": [
                {
                    "group": "analysts",
                    "row_level": {
                        "filters": [
                            {
                                "member": "origin",
                                "operator": "equals",
                                "values": ["{ user.airport }"],
                            }
                        ]
                    },
                }
            ],
        }
    ]
}
KEY = ec.generate_private_key(ec.SECP256R1())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("logins")


@pytest.fixture(scope="module")
def authority(folder: Path) -> Authority:
    return Authority(folder / "authority", "Authority")


@pytest.fixture(scope="module")
def server(folder: Path, authority: Authority) -> Iterator[RunningServer]:
    manage(folder, "add", "anna", "--group", "analysts", "--attribute", "airport=JFK", password="a")
    manage(folder, "add", "both", password="b")
    public = jwt.algorithms.ECAlgorithm.to_jwk(KEY.public_key(), as_dict=True)
    (folder / "keys.json").write_text(json.dumps({"keys": [public]}))
    (folder / "live_hook.py").write_text(HOOK)
    (folder / "models").mkdir()
    (folder / "models" / "flights.yml").write_text(json.dumps(MODEL))
    configuration = {
        "state_directory": "state",
        "models": "models",
        "server": {"authentication_timeout": LOGIN_SECONDS},
        "tls": {"client_ca": str(authority.file)},
        "auth": {
            "rules": RULES,
            "users": {"plain": {"password": "p"}, "root": {"password": "r"}},
            "users_file": "users.yml",
            "revalidate_seconds": 1,
            "failure_delay_max": 1,
        },
    }
    path = folder / "cubewire.yml"
    path.write_text(json.dumps(configuration))
    environment = {"PYTHONPATH": str(folder)}
    running = start_server(["--demo", "--port", "0", "--config", str(path)], environment)
    yield running
    running.stop()


def manage(folder: Path, action: str, *arguments: str, password: str = "") -> None:
    command = [str(Path(sys.executable).parent / "cubewire"), "users", action, *arguments]
    subprocess.run(
        [*command, "--file", str(folder / "users.yml")],
        input=f"{password}\n",
        text=True,
        check=True,
        capture_output=True,
    )


def connect(
    server: RunningServer, user: str, password: str, **options: str
) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(
        host=server.host,
        port=server.port,
        dbname="cubewire",
        user=user,
        password=password,
        autocommit=True,
        **options,
    )


def logs_in(server: RunningServer, user: str, password: str, **options: str) -> bool:
    with connect(server, user, password, **options) as connection:
        return connection.execute("SELECT current_user").fetchone() == (user,)


def refusal(server: RunningServer, user: str, password: str, **options: str) -> str:
    with pytest.raises(psycopg.OperationalError) as caught:
        connect(server, user, password, **options)
    return str(caught.value)


def ended(connection: psycopg.Connection[tuple[object, ...]]) -> str:
    """What a session is told when it ends, which must be soon."""
    started = time.monotonic()
    while time.monotonic() - started < 40:
        try:
            connection.execute("SELECT 1")
        except psycopg.OperationalError as error:
            return str(error)
        time.sleep(0.1)
    raise AssertionError("the session goes on")


def token(**changed: Any) -> str:
    claims = {"iss": "https://idp.example", "aud": "cubewire", "exp": time.time() + 30, **changed}
    return jwt.encode(claims, KEY, "ES256")


def test_by_rule(server: RunningServer) -> None:
    assert logs_in(server, "anna", "a")
    assert logs_in(server, "anna", "a", sslmode="require", channel_binding="require")
    assert logs_in(server, "plain", "p", sslmode="require")
    assert "auth.rules rejects connection for host" in refusal(server, "root", "r")
    downgraded = refusal(server, "plain", "p", sslmode="disable")
    assert 'no entry of auth.rules for host "127.0.0.1", user "plain"' in downgraded
    assert "no entry of auth.rules" in refusal(server, "dora", "d")
    for user, password in (("anna", "wrong"), ("carl", "a")):
        told = refusal(server, user, password)
        assert f'password authentication failed for user "{user}"' in told


def test_a_user_of_the_file_comes_and_goes_while_the_server_runs(
    server: RunningServer, folder: Path
) -> None:
    manage(folder, "add", "bert", password="b")
    assert logs_in(server, "bert", "b")
    with connect(server, "bert", "b") as first, connect(server, "anna", "a") as other:
        manage(folder, "passwd", "bert", password="c")
        assert "identity has been revoked" in ended(first)
        with connect(server, "bert", "c") as second:
            second.execute("BEGIN")
            manage(folder, "remove", "bert")
            assert "identity has been revoked" in ended(second)
        assert other.execute("SELECT 1").fetchone() == (1,)
    assert 'password authentication failed for user "bert"' in refusal(server, "bert", "c")


def test_tokens(server: RunningServer) -> None:
    good = token(sub="token_anna")
    assert logs_in(server, "token_anna", good, sslmode="require")
    assert "no entry of auth.rules" in refusal(server, "token_anna", good, sslmode="disable")
    told = refusal(server, "token_bert", good, sslmode="require")
    assert 'password authentication failed for user "token_bert"' in told
    assert "somebody else" not in told
    with connect(
        server, "token_anna", token(sub="token_anna", exp=time.time() + 2 * slowness())
    ) as short:
        assert "identity has expired" in ended(short)
    assert good not in "".join(server.log)


def test_what_a_proof_says_is_what_policies_go_by(server: RunningServer) -> None:
    def origins(user: str, password: str) -> set[object]:
        with connect(server, user, password, sslmode="require") as connection:
            return {row[0] for row in connection.execute("SELECT DISTINCT origin FROM flights")}

    assert origins("anna", "a") == {"JFK"}
    analyst = {"sub": "token_anna", "realm": {"groups": ["analysts"]}}
    assert origins("token_anna", token(**analyst, airport="EWR")) == {"EWR"}
    assert origins("token_anna", token(**analyst, airport="' OR ''='")) == set()
    # An attribute that is not there is no wildcard.
    assert origins("token_anna", token(**analyst)) == set()
    for user, password in (("token_anna", token(sub="token_anna")), ("hooked", "right")):
        with pytest.raises(psycopg.errors.UndefinedTable):
            origins(user, password)


def test_client_certificates(server: RunningServer, authority: Authority, tmp_path: Path) -> None:
    def files(issued: tuple[Path, Path]) -> dict[str, str]:
        return {"sslmode": "require", "sslcert": str(issued[0]), "sslkey": str(issued[1])}

    machine = files(authority.issue("etl.example"))
    assert logs_in(server, "machine", "", **machine)
    told = refusal(server, "machine", "", **files(authority.issue("machine")))
    assert 'certificate authentication failed for user "machine"' in told
    assert "requires a valid client certificate" in refusal(
        server, "machine", "", sslmode="require"
    )
    stranger = Authority(tmp_path, "Authority").issue("etl.example")
    assert "alert" in refusal(server, "machine", "", **files(stranger))
    assert logs_in(server, "both", "b", **files(authority.issue("both")))
    assert logs_in(server, "both", "b", **files(authority.issue("both")), channel_binding="require")
    told = refusal(server, "both", "wrong", **files(authority.issue("both")))
    assert 'password authentication failed for user "both"' in told
    assert "certificate authentication failed" in refusal(server, "both", "b", **machine)
    # A certificate says nothing where no rule asks for it.
    assert "password authentication failed" in refusal(server, "anna", "x", **machine)


async def test_slow_hooks_keep_nobody_waiting(server: RunningServer) -> None:
    async def hooked(password: str) -> str:
        connection = await asyncpg.connect(
            host=server.host,
            port=server.port,
            user="hooked",
            password=password,
            database="cubewire",
            ssl="require",
        )
        user = await connection.fetchval("SELECT current_user")
        await connection.close()
        return str(user)

    waiting = [asyncio.create_task(hooked("patience")) for _ in range(12)]
    await asyncio.sleep(0.1)
    inside = await asyncio.to_thread(logs_in, server, "anna", "a")
    left = [each for each in waiting if not each.done()]
    assert await asyncio.gather(*waiting) == ["hooked"] * 12
    assert inside
    assert left
    with pytest.raises(asyncpg.InvalidPasswordError):
        await hooked("wrong")


def test_a_hook_gets_no_more_time_than_a_login_has(server: RunningServer) -> None:
    started = time.monotonic()
    told = refusal(server, "hooked", "sleep", sslmode="require")
    assert "canceling authentication due to timeout" in told
    assert time.monotonic() - started < LOGIN_SECONDS + 30


async def test_guesses_in_parallel_are_no_more_guesses(server: RunningServer) -> None:
    """Test 14 for a slow method: all connections are open before the first failure counts."""

    async def guess(number: int) -> str:
        try:
            connection = await asyncpg.connect(
                host=server.host,
                port=server.port,
                user="hooked",
                password=f"guess-{number}",
                database="cubewire",
                ssl="require",
            )
        except asyncpg.PostgresError as error:
            return str(error.sqlstate)
        await connection.close()
        return "in"

    outcomes = await asyncio.gather(*(guess(number) for number in range(60)))
    assert set(outcomes) == {"28P01", "28000"}
    assert outcomes.count("28P01") <= 24
    assert "guess-" not in "".join(server.log)


def test_a_session_that_is_at_work_ends_with_its_identity(server: RunningServer) -> None:
    started = time.monotonic()
    with (
        connect(server, "plain", "p", sslmode="require") as connection,
        pytest.raises(psycopg.OperationalError, match="identity has expired") as caught,
    ):
        connection.execute("SELECT pg_sleep(60)")
    assert caught.value.sqlstate == "28000"
    assert 1.5 < time.monotonic() - started < 20
