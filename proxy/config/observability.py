"""Configuration of what the server tells its operator: log, metrics, traces, system tables."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator

from proxy.config.section import Section
from proxy.config.units import Seconds


class LogConfig(Section):
    """One line per statement and per event of the server."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="`debug`, `info`, `warning` or `error`."
    )
    format: Literal["json", "text"] = Field(
        default="text", description="`text` (logfmt) or `json`."
    )
    sql: bool = Field(
        default=False, description="Write the statements' text, which may hold values."
    )
    file: Path | None = Field(
        default=None, description="Append to this file instead of standard error."
    )
    slow_seconds: Seconds = Field(
        default=0.0,
        description="Statements that took longer get a warning of their own (logger "
        "`cubewire.slow`); 0 is none.",
    )
    slow_sample: float = Field(
        default=1.0, gt=0, le=1, description="The share of them that does, evenly spread."
    )
    slow_sql: Literal["masked", "full", "off"] = Field(
        default="masked",
        description="Their text: `masked` has `?` for each constant and no comments, `full` "
        "everything, `off` nothing.",
    )
    slow_parameters: bool = Field(default=False, description="Write the values bound to them too.")

    @field_validator("slow_sql", mode="before")
    @classmethod
    def _off(cls, value: object) -> object:
        """YAML 1.1 reads a bare ``off`` as false."""
        return "off" if value is False else value


class MetricsConfig(Section):
    """What `/metrics` tells apart."""

    label_values: int = Field(
        default=100,
        ge=1,
        description="Cubes, and roles, that have series of their own; others count as `other`.",
    )


class SystemTablesConfig(Section):
    """Who sees `cubewire.sessions`, `.statements`, `.sources` and `.rollups`, for all tenants."""

    users: tuple[str, ...] = Field(
        default=(), description="Users who see the tables of schema `cubewire`, in SQL and `\\d`."
    )
    groups: tuple[str, ...] = Field(default=(), description="Groups whose users do.")
    roles: tuple[str, ...] = Field(default=(), description="Roles whose users do.")
    statements: int = Field(
        default=1000,
        ge=0,
        le=100_000,
        description="Ended statements that `cubewire.statements` keeps per worker, with their "
        "texts, where somebody may see it.",
    )

    def admit(self, user: str, groups: frozenset[str], roles: frozenset[str]) -> bool:
        """Whether a user sees them."""
        return (
            user in self.users
            or not groups.isdisjoint(self.groups)
            or not roles.isdisjoint(self.roles)
        )

    @property
    def admit_somebody(self) -> bool:
        """Whether anybody sees them."""
        return bool(self.users or self.groups or self.roles)


class TracingConfig(Section):
    """OpenTelemetry traces: a span per statement, one per stage in it (`cubewire[otel]`)."""

    endpoint: str = Field(
        default="",
        description="URL that takes OTLP over HTTP, such as `http://collector:4318/v1/traces`; "
        "empty is off.",
    )
    headers: dict[str, SecretStr] = Field(
        default_factory=dict, description="HTTP headers sent along, by name."
    )
    sample: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="The share of statements traced that come without a trace; those that come "
        "with one (`/*traceparent='...'*/`) are traced as it says.",
    )
    service: str = Field(default="cubewire", description="`service.name` of the spans.")
    sql: Literal["masked", "full", "off"] = Field(
        default="masked", description="The statements' text in spans, as in `log.slow_sql`."
    )

    @field_validator("sql", mode="before")
    @classmethod
    def _off(cls, value: object) -> object:
        """YAML 1.1 reads a bare ``off`` as false."""
        return "off" if value is False else value
