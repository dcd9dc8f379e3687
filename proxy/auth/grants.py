"""What a proved identity may count on: groups, roles, attributes, tenant, and for how long."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeGuard

from semantic.model.values import EMPTY, FrozenMap, freeze

_KEYS = frozenset({"groups", "roles", "attributes", "tenant", "act_as", "expires"})
_LAST_MOMENT = 1e12
_DEEPEST = 8
"""Levels of an attribute's value."""
EVERYBODY = "*"


class GrantsError(ValueError):
    """What a verifier or a file says of a user cannot be read."""


@dataclass(frozen=True, slots=True)
class Grants:
    """What a verifier says of a user; see ``SecurityContext`` for the names.

    Attributes:
        expires: unix seconds after which the proof holds no more; None for no end.
    """

    groups: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()
    attributes: FrozenMap = EMPTY
    tenant: str | None = None
    act_as: frozenset[str] = frozenset()
    expires: float | None = None

    @classmethod
    def read(cls, data: Mapping[str, object]) -> Grants:
        """Read the keys of this class from plain data, such as YAML or JSON.

        Raises:
            GrantsError: a key is unknown or its value is of another kind. Nothing is left out in
                silence, since what is missing might have been what restricts.
        """
        unknown = set(data) - _KEYS
        if unknown:
            raise GrantsError(f"unknown keys: {', '.join(sorted(map(str, unknown)))}")
        return cls(
            groups=names("groups", data.get("groups")),
            roles=names("roles", data.get("roles")),
            attributes=attributes(data.get("attributes")),
            tenant=tenant(data.get("tenant")),
            act_as=names("act_as", data.get("act_as"), everybody=True),
            expires=_moment(data.get("expires")),
        )

    def with_local(self, local: Grants) -> Grants:
        """These together with what this server itself says of the user.

        Names add up; an attribute that both give is the server's; the earlier end counts.

        Raises:
            GrantsError: both name a tenant, and not the same.
        """
        if None not in (self.tenant, local.tenant) and self.tenant != local.tenant:
            raise GrantsError("two tenants are given")
        merged = FrozenMap(
            tuple((dict(self.attributes.items) | dict(local.attributes.items)).items())
        )
        ends = [each for each in (self.expires, local.expires) if each is not None]
        return Grants(
            self.groups | local.groups,
            self.roles | local.roles,
            merged,
            self.tenant if self.tenant is not None else local.tenant,
            self.act_as | local.act_as,
            min(ends, default=None),
        )


NOTHING = Grants()


def names(key: str, value: object, *, everybody: bool = False) -> frozenset[str]:
    """Read one name or a list of names; ``*`` only where it can mean everybody.

    Raises:
        GrantsError: it is neither.
    """
    listed = [] if value is None else [value] if isinstance(value, str) else value
    if not isinstance(listed, list | tuple | set | frozenset) or not all(
        isinstance(each, str) and each for each in listed
    ):
        raise GrantsError(f"{key} is a name or a list of names")
    if EVERYBODY in listed and not everybody:
        raise GrantsError(f"{key} cannot hold {EVERYBODY}, which stands for everybody in policies")
    return frozenset(listed)


def attributes(value: object) -> FrozenMap:
    """Read a mapping of attributes.

    Raises:
        GrantsError: it is no mapping with names for keys, or nested too deeply.
    """
    if value is None:
        return EMPTY
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise GrantsError("attributes is a mapping of names to values")
    if _depth(value) > _DEEPEST:
        raise GrantsError(f"attributes is nested more than {_DEEPEST} levels deep")
    frozen = freeze(dict(value))
    assert isinstance(frozen, FrozenMap)
    return frozen


def tenant(value: object) -> str | None:
    """Read a tenant's name.

    Raises:
        GrantsError: it is no text, or empty.
    """
    if value is None or (isinstance(value, str) and value):
        return value
    raise GrantsError("tenant is a name")


def _moment(value: object) -> float | None:
    if value is None:
        return None
    if not is_moment(value):
        raise GrantsError("expires is a number of seconds since 1970")
    return float(value)


def is_moment(value: object) -> TypeGuard[float]:
    """Whether a value is unix seconds: a number, and one that a clock could show."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    # Compared, not converted: a whole number may be too large for a float. NaN is in no range.
    return -_LAST_MOMENT <= value <= _LAST_MOMENT


def _depth(value: object, level: int = 0) -> int:
    if level > _DEEPEST:
        return level
    inner = value.values() if isinstance(value, Mapping) else value
    if not isinstance(value, Mapping | list | tuple):
        return level
    return max((_depth(each, level + 1) for each in inner), default=level + 1)  # type: ignore[attr-defined]
