"""Configuration of access: what has no policy, and whose rows are whose."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from proxy.config.section import Section


class SecurityConfig(Section):
    """Access policies of the model, where it has none."""

    default: Literal["allow", "deny"] = Field(
        default="allow",
        description="Whether cubes and views without an access policy are open to everybody.",
    )


class TenancyConfig(Section):
    """Tenants: each login belongs to one, and sees what is its own."""

    mode: Literal["off", "row", "data_source", "models"] = Field(
        default="off",
        description="`row`: every cube has a row rule on the tenant. `data_source`: each tenant's "
        "cubes are read from a data source of its own. `models`: each folder in `models` is the "
        "model of the tenant of that name. Logins without a tenant are refused in the last two.",
    )
    data_sources: dict[str, str] = Field(
        default_factory=dict,
        description="By tenant: the data source its cubes are read from, with mode `data_source`.",
    )
    replaces: str = Field(
        default="default",
        description="The model's data source that a tenant's stands for.",
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

    @field_validator("mode", mode="before")
    @classmethod
    def _off(cls, value: object) -> object:
        """YAML 1.1 reads a bare ``off`` as false."""
        return "off" if value is False else value

    @model_validator(mode="after")
    def _agrees(self) -> TenancyConfig:
        if (self.mode == "data_source") != bool(self.data_sources):
            raise ValueError("tenancy.data_sources goes with tenancy.mode data_source")
        return self
