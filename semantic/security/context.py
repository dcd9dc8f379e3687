"""The security context: what is known of a caller, made by the login and read by policies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from semantic.model.values import EMPTY, FrozenMap, FrozenValue, freeze


@dataclass(frozen=True, slots=True)
class SecurityContext:
    """On whose behalf a session acts. Made by a verifier, never of what a client merely says.

    Attributes:
        user: the effective user, whose policies apply: what ``current_user`` is.
        login: who proved an identity: ``session_user``. Differs from ``user`` when impersonating.
        groups: of the effective user; ``*`` in a policy is everybody and stands in no context.
        roles: likewise.
        attributes: what policies may speak of as ``{ user.name }``; lists are tuples.
        tenant: the tenant, where ``tenancy`` is configured.
        act_as: users, or ``*``, that the login may impersonate.
        address: the client's address. For logs and conditions, not for identity.
        application: ``application_name`` of the startup packet; what a client says of itself, so
            no policy may rest on it.
        method: how the identity was proved: ``scram``, ``jwt``, ``certificate`` and so on.
        expires: unix seconds after which the identity holds no more; None for no end.
    """

    user: str
    login: str
    groups: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()
    attributes: FrozenMap = EMPTY
    tenant: str | None = None
    act_as: frozenset[str] = field(default=frozenset(), compare=False)
    address: str = field(default="", compare=False)
    application: str = field(default="", compare=False)
    method: str = field(default="", compare=False)
    expires: float | None = field(default=None, compare=False)

    @classmethod
    def of(
        cls,
        user: str,
        *,
        groups: frozenset[str] = frozenset(),
        roles: frozenset[str] = frozenset(),
        attributes: Mapping[str, object] | None = None,
        tenant: str | None = None,
    ) -> SecurityContext:
        """A context of a user who acts for nobody else."""
        frozen = freeze(dict(attributes or {}))
        assert isinstance(frozen, FrozenMap)
        return cls(user, user, groups, roles, frozen, tenant)

    def attribute(self, path: tuple[str, ...]) -> FrozenValue:
        """The value that ``{ user.a.b }`` stands for; a KeyError where there is none.

        ``name``, ``user``, ``groups``, ``roles`` and ``tenant`` are the context's own, unless an
        attribute of that name exists.
        """
        value: FrozenValue = self.attributes
        for number, name in enumerate(path):
            if not isinstance(value, FrozenMap):
                raise KeyError(".".join(path))
            found = dict(value.items)
            if name in found:
                value = found[name]
            elif number == 0:
                value = self._own(name)
            else:
                raise KeyError(".".join(path))
        return value

    def _own(self, name: str) -> FrozenValue:
        if name in ("name", "user", "id"):
            return self.user
        if name == "groups":
            return tuple(sorted(self.groups))
        if name == "roles":
            return tuple(sorted(self.roles))
        if name == "tenant" and self.tenant is not None:
            return self.tenant
        raise KeyError(name)
