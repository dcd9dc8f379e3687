"""What the administrator of a server may ask of it through the admin port."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from proxy.admin import AdminServer, Answer, Order
from proxy.audit.trail import AuditTrail
from proxy.cache.generations import ALL
from proxy.config import Config
from proxy.engine import Engine
from proxy.kill_switch import REASON, KillSwitch
from proxy.server import Parts, Server
from proxy.system_tables.local import LocalRows

LOGIN = "admin port"
"""Who has done it, in the audit trail: the bearer of the token is nobody by name."""


@dataclass(frozen=True, slots=True, eq=False)
class Administration:
    """Carries out orders, and puts them into the audit trail."""

    engine: Engine
    kill_switch: KillSwitch
    trail: AuditTrail
    rows: LocalRows
    end_session: Callable[[int], bool]

    def orders(self) -> Mapping[str, Order]:
        """What each path of the admin port does."""
        return {"/cache/invalidate": self.invalidate, "/kill": self.kill}

    def reports(self) -> Mapping[str, Order]:
        """What can be asked of it."""
        return {"/rows": self.table}

    async def table(self, query: Mapping[str, Sequence[str]]) -> Answer:
        """The rows that this worker has of a system table (``table``)."""
        try:
            rows = self.rows.of(query.get("table", ("",))[0])
        except KeyError as error:
            return Answer(404, f"no table {error.args[0]}\n".encode())
        return Answer(200, json.dumps(rows).encode(), "application/json")

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

        Of a user, ``then`` says to block them, or to lift that and end nothing.
        """
        if "id" in query:
            return self._kill_one(query["id"][0])
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

    def _kill_one(self, which: str) -> Answer:
        """End a statement (``7-12``), or a session (``7``), if it is one of this worker."""
        running = self.kill_switch.running.find(which)
        if running is not None:
            running.cancel(REASON)
        elif not which.isdigit() or not self.end_session(int(which)):
            what = "session" if which.isdigit() else "statement"
            return Answer(404, f"no {what} {which} is here\n".encode())
        self._note("kill", which)
        return _told({"id": which, "action": "kill"}, everywhere=True)

    def _note(self, action: str, target: str) -> None:
        self.trail.administration(action, login=LOGIN, target=target)


def _told(report: dict[str, object], *, everywhere: bool) -> Answer:
    """What was done; 503 where not all that share it could be told."""
    body = json.dumps({**report, "everywhere": everywhere}) + "\n"
    return Answer(200 if everywhere else 503, body.encode(), "application/json")


async def open_admin(config: Config, server: Server, parts: Parts) -> AdminServer | None:
    """The admin port, where one is configured; worker n has the n-th port from it."""
    if not config.server.admin_port:
        return None
    administration = Administration(
        parts.engine, parts.kill_switch, parts.trail, server.rows, server.end_session
    )
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
    await admin.start(config.server.admin_host, config.server.admin_port + parts.worker)
    return admin
