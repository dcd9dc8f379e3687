"""Configuration of access: what has no policy, and whose rows are whose."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from proxy.config.section import Section


class SecurityConfig(Section):
    """Access policies of the model, where it has none."""

    default: Literal["allow", "deny"] = Field(
        default="allow",
        description="Whether cubes and views without an access policy are open to everybody.",
    )


class TenancyConfig(Section):
    """Tenants: each login belongs to one, and sees what is its own."""

    mode: Literal["off", "row"] = Field(
        default="off", description="`row`: every cube has a row rule on the tenant."
    )
    dimension: str = Field(
        default="tenant_id", description="Member that holds the tenant, in cubes that have it."
    )
    members: dict[str, str] = Field(
        default_factory=dict,
        description="By cube: the member that holds the tenant, be it over joins.",
    )
    shared: list[str] = Field(
        default_factory=list,
        description="Cubes whose rows are everybody's; others without a tenant are closed.",
    )
