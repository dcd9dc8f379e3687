"""What the administrator of a server may ask of it through the admin port."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from proxy.admin import AdminServer, Answer, Order
from proxy.audit.trail import AuditTrail
from proxy.cache.generations import ALL
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

    def orders(self) -> Mapping[str, Order]:
        """What each path of the admin port does."""
        return {"/cache/invalidate": self.invalidate, "/kill": self.kill}

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
        """End what a user runs; ``then`` blocks the user, or lifts that and ends nothing."""
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
    token, reload_token = config.server.admin_token, config.reload.token
    reloader = server.reloader
    admin = AdminServer(
        parts.metrics,
        server.readiness,
        Administration(parts.engine, parts.kill_switch, parts.trail).orders(),
        None if token is None else token.get_secret_value(),
        None if reloader is None else partial(reloader.ask, "webhook"),
        None if reload_token is None else reload_token.get_secret_value(),
    )
    await admin.start(config.server.admin_host, config.server.admin_port + parts.worker)
    return admin
