"""What the administrator of a server may ask of it through the admin port."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from proxy.admin import AdminServer, Answer, Order
from proxy.audit.trail import AuditTrail
from proxy.cache.breaker import UnavailableError
from proxy.cache.generations import ALL
from proxy.cancellation import worker_of
from proxy.config import Config
from proxy.engine import Engine
from proxy.kill_switch import KillSwitch
from proxy.server import Parts, Server

LOGIN = "admin port"
"""Who has done it, in the audit trail: the bearer of the token is nobody by name."""


@dataclass(frozen=True, slots=True, eq=False)
class Administration:
    """Carries out orders, and puts them into the audit trail."""

    engine: Engine
    kill_switch: KillSwitch
    trail: AuditTrail
    server: Server

    def orders(self) -> Mapping[str, Order]:
        """What each path of the admin port does."""
        return {"/cache/invalidate": self.invalidate, "/kill": self.kill}

    def reports(self) -> Mapping[str, Order]:
        """What can be asked of it."""
        return {"/rows": self.table}

    async def table(self, query: Mapping[str, Sequence[str]]) -> Answer:
        """The rows of a system table (``table``) in all processes, and what is missing."""
        name = query.get("table", ("",))[0]
        try:
            rows, warnings = await self.server.tables.rows((name,))
        except KeyError as error:
            return Answer(404, f"no table {error.args[0]}\n".encode())
        report = {"rows": rows[name], "warnings": warnings}
        return Answer(200, json.dumps(report).encode(), "application/json")

    async def invalidate(self, query: Mapping[str, Sequence[str]]) -> Answer:
        """Make cached results of cubes (``cube``) invalid, or of all where none is named."""
        cubes = query.get("cube", ())
        for name in cubes:
            if not self.engine.cached.knows(name):
                return Answer(404, f"no cube {name}\n".encode())
        self._note("cache invalidate", ", ".join(cubes) or "all results")
        everywhere = await self.engine.invalidation.invalidate(cubes or (ALL,))
        return _told({"invalidated": list(cubes) or "all"}, everywhere=everywhere)

    async def kill(self, query: Mapping[str, Sequence[str]]) -> Answer:
        """End a statement or a session by its ``id``, or all that a ``user`` runs.

        An id is of this worker, or of the server that ``host`` names. Of a user, ``then`` says to
        block them, or to lift that and end nothing.
        """
        if "id" in query:
            return await self._kill_one(query["id"][0], query.get("host", ("",))[0])
        users, then = query.get("user", ()), query.get("then", ("",))[0]
        actions = {
            "": ("kill", self.kill_switch.kill),
            "block": ("block", self.kill_switch.block),
            "lift": ("lift block", self.kill_switch.lift),
        }
        if len(users) != 1 or then not in actions:
            return Answer(400, b"one user is needed, and then=block or then=lift or neither\n")
        name, carry_out = actions[then]
        self._note(name, users[0])
        everywhere = await carry_out(users[0])
        return _told({"user": users[0], "action": name}, everywhere=everywhere)

    async def _kill_one(self, which: str, host: str) -> Answer:
        """End a statement (``7-12``) or a session (``7``)."""
        if host:
            problem = await self._kill_elsewhere(which, host)
            if problem is not None:
                return problem
        elif not self.server.end(which, LOGIN):
            return _absent(which, "here")
        return _told({"id": which, "action": "kill"}, everywhere=True)

    async def _kill_elsewhere(self, which: str, host: str) -> Answer | None:
        """Let the process that has it end it. Returns what has gone wrong."""
        hosts = self.server.hosts
        if hosts is None:
            return Answer(404, b"no other hosts are known: there is no cache.redis.url\n")
        worker = worker_of(which)
        if worker is None:
            return Answer(400, f"{which} is no id\n".encode())
        try:
            known = [each for each in await hosts.board.processes() if each.host == host]
            meant = [each for each in known if each.worker == worker]
            if not meant:
                what = f"worker {worker} at {host}" if known else f"server {host}"
                return Answer(404, f"there is no {what}\n".encode())
            if len(meant) > 1:
                text = f"{len(meant)} servers are called {host}: give them names (server.name)\n"
                return Answer(409, text.encode())
            self._note("kill", f"{which} at {host}")
            done = await hosts.orders.give(meant[0], which)
        except UnavailableError:
            return Answer(503, b"Redis does not answer\n")
        if done is None:
            return Answer(503, f"{host} has not answered in time\n".encode())
        return None if done else _absent(which, f"at {host}")

    def _note(self, action: str, target: str) -> None:
        self.trail.administration(action, login=LOGIN, target=target)


def _absent(which: str, where: str) -> Answer:
    what = "session" if which.isdigit() else "statement"
    return Answer(404, f"no {what} {which} is {where}\n".encode())


def _told(report: dict[str, object], *, everywhere: bool) -> Answer:
    """What was done; 503 where not all that share it could be told."""
    body = json.dumps({**report, "everywhere": everywhere}) + "\n"
    return Answer(200 if everywhere else 503, body.encode(), "application/json")


async def open_admin(config: Config, server: Server, parts: Parts) -> AdminServer | None:
    """The admin port, where one is configured; worker n has the n-th port from it."""
    if not config.server.admin_port:
        return None
    administration = Administration(parts.engine, parts.kill_switch, parts.trail, server)
    token, reload_token = config.server.admin_token, config.reload.token
    reloader = server.reloader
    admin = AdminServer(
        parts.metrics,
        server.readiness,
        administration.orders(),
        administration.reports(),
        None if token is None else token.get_secret_value(),
        None if reloader is None else partial(reloader.ask, "webhook"),
        None if reload_token is None else reload_token.get_secret_value(),
    )
    await admin.start(config.server.admin_host, config.server.admin_port + parts.process.worker)
    return admin
