"""The kill switch: what a user runs ends everywhere, and stays ended while blocked."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from proxy.config.caching import RedisConfig
from proxy.errors import SessionError
from proxy.kill_orders import open_kill_switch
from proxy.kill_switch import KillSwitch
from proxy.running import RunningStatements
from tests.conftest import free_port
from tests.reliability import support
from tests.support.redis_server import RedisServer
from tests.support.server import RunningServer
from tests.support.waiting import until_async

ENDLESS = "SELECT SUM(rest) FROM endless WHERE rest > 2"


@pytest.fixture(scope="module")
def servers(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Path, RunningServer, RunningServer]]:
    """Two that share a Redis; the folder of the first one's configuration."""
    folder = tmp_path_factory.mktemp("kill")
    with RedisServer(free_port()) as redis:
        options = {"cache__redis": {"url": redis.url, "timeout": 1, "secret": "of the tests"}}
        with (
            support.serving(
                folder / "a",
                server__admin_port=free_port(),
                server__admin_token="t0ken",
                audit__sink="file",
                audit__file=str(folder / "audit"),
                **options,
            ) as first,
            support.serving(folder / "b", **options) as second,
        ):
            yield folder, first, second


def run(server: RunningServer, user: str, sql: str, role: str = "") -> threading.Thread:
    """Run a statement in a thread, which has ``outcome`` when it has ended."""

    def work() -> None:
        with psycopg.connect(support.dsn(server, user), autocommit=True) as connection:
            try:
                connection.execute(sql.encode())
                thread.outcome = "rows"
            except psycopg.Error as error:
                thread.outcome = (error.sqlstate, error.diag.message_primary)
            thread.goes_on = not connection.closed

    thread: Any = threading.Thread(target=work)
    thread.start()
    return thread


def kill(folder: Path, *arguments: str) -> None:
    program = [sys.executable, "-m", "proxy.cli", "kill", *arguments]
    config = ["--config", str(folder / "a" / "cubewire.yml")]
    subprocess.run([*program, *config], check=True, timeout=60, capture_output=True)


def refusal(server: RunningServer, user: str, sql: str = "SELECT COUNT(*) FROM tiny") -> str | None:
    with psycopg.connect(support.dsn(server, user), autocommit=True) as connection:
        try:
            connection.execute(sql.encode())
        except psycopg.Error as error:
            return error.sqlstate
    return None


@pytest.mark.slow
def test_a_user_is_ended_blocked_and_let_through_on_both_servers(
    servers: tuple[Path, RunningServer, RunningServer],
) -> None:
    folder, first, second = servers
    ended: list[Any] = [run(server, "demo", ENDLESS) for server in (first, second)]
    spared = run(second, "other", ENDLESS)
    time.sleep(1.0)
    kill(folder, "--user", "demo", "--block")
    for thread in ended:
        thread.join(60)
        assert thread.outcome[0] == "57014", thread.outcome
        assert thread.outcome[1] == "canceling statement due to administrator command"
        assert thread.goes_on
    for server in (first, second):
        support.until(lambda server=server: refusal(server, "demo") == "42501")
        assert refusal(server, "demo", "SELECT 1") == "42501"
        assert refusal(server, "other") is None
    assert spared.is_alive()
    kill(folder, "--user", "demo", "--lift")
    for server in (first, second):
        support.until(lambda server=server: refusal(server, "demo") is None)
    assert spared.is_alive()
    kill(folder, "--user", "other")
    spared.join(60)
    assert not spared.is_alive()
    assert refusal(second, "other") is None
    lines = [json.loads(line) for line in (folder / "audit").read_text().splitlines()]
    acts = [line for line in lines if line["event"] == "administration"]
    orders = [(line["action"], line["target"]) for line in acts]
    assert orders == [("block", "demo"), ("lift block", "demo"), ("kill", "other")]


def test_both_who_logs_in_and_whom_they_act_for_are_meant() -> None:
    switch = KillSwitch(RunningStatements(), {"anna"})
    for login, user in (("anna", "bert"), ("bert", "anna")):
        with pytest.raises(SessionError) as caught:
            switch.check(login, user)
        assert caught.value.sqlstate == "42501"
    switch.check("bert", "carl")


async def test_nobody_without_the_secret_gives_orders() -> None:
    with RedisServer(free_port()) as redis:
        config = RedisConfig.model_validate({"url": redis.url, "timeout": 1})
        stranger = redis.client()
        async with (
            open_kill_switch(config, b"secret") as one,
            open_kill_switch(config, b"secret") as other,
            open_kill_switch(config, b"another secret") as apart,
        ):
            assert await one.block("anna")
            await until_async(lambda: other.blocked == {"anna"})
            blocked = stranger.hgetall("cubewire:blocked")
            # Neither what is deleted lifts a block, nor does what is written make one.
            stranger.delete("cubewire:blocked")
            stranger.hset("cubewire:blocked", "ben", b"1")
            stranger.hset("cubewire:blocked", "carl", blocked[b"anna"])
            await until_async(lambda: stranger.hget("cubewire:blocked", "anna") is not None)
            assert await other.lift("anna")
            await until_async(lambda: not one.blocked)
            # An order that was given is none a second time.
            stranger.hset("cubewire:blocked", "anna", blocked[b"anna"])
            await until_async(lambda: stranger.hget("cubewire:blocked", "anna") != blocked[b"anna"])
            assert not one.blocked | other.blocked | apart.blocked
            assert await one.block("anna")
        async with open_kill_switch(config, b"secret") as anew:
            assert anew.blocked == {"anna"}
