"""Every key of ``cubewire.yml``. The descriptions here are the reference in the README."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, model_validator

from proxy.config.access import SecurityConfig, TenancyConfig
from proxy.config.audit import AuditConfig
from proxy.config.auth import AuthConfig, TlsConfig, check_safe
from proxy.config.caching import CacheConfig
from proxy.config.functions import FunctionConfig
from proxy.config.limits import SourceLimits
from proxy.config.observability import (
    LogConfig,
    MetricsConfig,
    SystemTablesConfig,
    TracingConfig,
)
from proxy.config.reload import ReloadConfig
from proxy.config.rollups import RollupsConfig
from proxy.config.section import Section
from proxy.config.sources import DataSource
from proxy.config.staging import StagingConfig
from proxy.config.units import Bytes, Seconds

_MIB = 1024 * 1024

Port = Annotated[int, Field(ge=0, le=65535)]
MeasureAggregates = Literal["strict", "defined"]


class ServerConfig(Section):
    """The listening socket, and how long and how much a client may take."""

    host: str = Field(
        default="127.0.0.1", description="Address to listen on; `0.0.0.0` or `::` for all."
    )
    port: Port = Field(default=15432, description="Port to listen on; 0 picks a free one.")
    admin_host: str = Field(default="127.0.0.1", description="Address of the admin port.")
    admin_port: Port = Field(
        default=0, description="Port of `/metrics`, `/healthz` and `/readyz`; 0 turns them off."
    )
    admin_token: SecretStr | None = Field(
        default=None,
        description="What `POST /cache/invalidate` and `/kill` need as bearer; without, refused.",
    )
    workers: int = Field(default=1, ge=1, le=256, description="Processes that share the port.")
    name: str = Field(
        default="",
        max_length=100,
        description="What system tables and `cubewire kill --host` call this server among those "
        "that share a Redis; empty is the machine's name.",
    )
    max_connections: int = Field(
        default=1000, ge=1, description="Clients per worker; the next is refused with 53300."
    )
    authentication_timeout: Seconds = Field(
        default=60.0, description="From connecting to logged in."
    )
    idle_timeout: Seconds = Field(
        default=0.0,
        description="A session that sends nothing outside a transaction ends; 0 is never.",
    )
    idle_in_transaction_timeout: Seconds = Field(
        default=0.0,
        description="A session that sends nothing inside a transaction ends; 0 is never.",
    )
    statement_timeout: Seconds = Field(
        default=0.0, description="A statement that runs longer is cancelled (57014); 0 is never."
    )
    shutdown_delay: Seconds = Field(
        default=0.0,
        description="How long after SIGTERM clients are still taken, while `/readyz` says that "
        "none should come: until every balancer has looked.",
    )
    shutdown_grace: Seconds = Field(
        default=30.0, description="How long SIGTERM lets running statements finish."
    )
    write_timeout: Seconds = Field(
        default=300.0,
        description="A client that reads nothing for this long is dropped; 0 is never.",
    )
    tcp_keepalive_idle: int = Field(
        default=60,
        ge=0,
        description="Seconds of silence before the peer is probed; 0 is the system's.",
    )
    tcp_keepalive_interval: int = Field(
        default=10, ge=0, description="Seconds between probes; 0 is the system's."
    )
    tcp_keepalive_count: int = Field(
        default=6,
        ge=0,
        description="Unanswered probes after which the peer is gone; 0 is the system's.",
    )
    max_message_bytes: Bytes = Field(
        default=64 * _MIB, ge=1024, description="Longest message a client may send (08P01)."
    )
    max_prepared_statements: int = Field(
        default=1000, ge=1, description="Named statements per session (54000)."
    )
    max_portals: int = Field(
        default=1000, ge=1, description="Named portals and cursors per session (54000)."
    )
    max_cursor_bytes: Bytes = Field(
        default=64 * _MIB,
        description="Memory for the rows a SCROLL or WITH HOLD cursor keeps per session (53200).",
    )


class CatalogConfig(Section):
    """The PostgreSQL that answers introspection and gives statements their types."""

    dsn: str | None = Field(
        default=None,
        repr=False,
        description="An external PostgreSQL 16, its database for this alone, instead of a child.",
    )
    directory: Path | None = Field(
        default=None,
        description="Folder of the child's data (a short path); a temporary one where absent.",
    )
    template_directory: Path | None = Field(
        default=None, description="Where an initialised cluster is kept between starts."
    )
    run_as: str = Field(
        default="nobody", description="System user of the child where the server runs as root."
    )
    postgres: Path | None = Field(
        default=None, description="Folder of the PostgreSQL 16 binaries; found where absent."
    )
    max_backends: int = Field(
        default=50, ge=2, description="Connections for introspection at once; others wait."
    )
    lease_timeout: Seconds = Field(
        default=10.0, description="Time a session waits for such a connection (53300)."
    )
    deadline: Seconds = Field(
        default=60.0, description="Time one introspection statement may take, whatever it sets."
    )
    memory_limit_mb: int = Field(
        default=1024, ge=0, description="Address space of each of its processes in MiB; 0 is any."
    )
    max_profiles_live: int = Field(
        default=32,
        ge=1,
        description="Catalogs of users who see different parts of the model, running at once per "
        "worker; each takes 5 to 15 MiB.",
    )


class ParserConfig(Section):
    """What a statement's text may cost before it is understood."""

    max_sql_bytes: Bytes = Field(
        default=_MIB, ge=1024, description="Longest statement on cubes (54000)."
    )
    inline_sql_bytes: Bytes = Field(
        default=16 * 1024, description="Longer ones are parsed in a process of their own."
    )
    max_depth: int = Field(
        default=100, ge=10, description="Deepest nesting of a statement (54001)."
    )
    parse_deadline: Seconds = Field(
        default=1.0, gt=0, description="Time for parsing a long statement (54000)."
    )
    cached_statements: int = Field(
        default=2000, ge=0, description="Compiled statements kept per worker."
    )


class TemporaryTablesConfig(Section):
    """Temporary tables: each session that has any takes a backend of the catalog for itself."""

    max_sessions: int = Field(
        default=50,
        ge=0,
        description="Sessions with temporary tables at once, per worker (53300); 0 refuses them.",
    )
    max_rows: int = Field(
        default=1_000_000, ge=1, description="Rows in all of a session's tables (53400)."
    )
    max_bytes: Bytes = Field(
        default=256 * _MIB, description="What a session's tables take on disk (53400)."
    )


class MeasureAggregatesConfig(Section):
    """What an aggregate that does not fit a measure means (`SET cubewire.measure_aggregates`)."""

    default: MeasureAggregates = Field(
        default="strict",
        description="`strict` refuses it (42804); `defined` evaluates the measure.",
    )
    by_user: dict[str, MeasureAggregates] = Field(
        default_factory=dict, description="By login name; goes before the application's."
    )
    by_application: dict[str, MeasureAggregates] = Field(
        default_factory=dict, description="By `application_name` of the startup packet."
    )


class Config(Section):
    """The whole configuration."""

    database: str = Field(
        default="cubewire",
        min_length=1,
        max_length=63,
        description="Database name clients connect to.",
    )
    models: Path = Field(
        default=Path("cube_models"), description="Folder of the model's YAML files."
    )
    state_directory: Path = Field(
        default=Path(".cubewire"),
        description="Folder for what a restart keeps: certificate, login secret, demo data.",
    )
    server: ServerConfig = Field(default_factory=ServerConfig, description="")
    tls: TlsConfig = Field(default_factory=TlsConfig, description="")
    auth: AuthConfig = Field(default_factory=AuthConfig, description="")
    data_sources: dict[str, DataSource] = Field(
        default_factory=dict, description="Warehouses by the name that cubes give as `data_source`."
    )
    limits: dict[str, SourceLimits] = Field(
        default_factory=dict, description="What statements may take, by data source."
    )
    catalog: CatalogConfig = Field(default_factory=CatalogConfig, description="")
    temporary_tables: TemporaryTablesConfig = Field(
        default_factory=TemporaryTablesConfig, description=""
    )
    cache: CacheConfig = Field(default_factory=CacheConfig, description="")
    parser: ParserConfig = Field(default_factory=ParserConfig, description="")
    log: LogConfig = Field(default_factory=LogConfig, description="")
    metrics: MetricsConfig = Field(default_factory=MetricsConfig, description="")
    system_tables: SystemTablesConfig = Field(default_factory=SystemTablesConfig, description="")
    tracing: TracingConfig = Field(default_factory=TracingConfig, description="")
    security: SecurityConfig = Field(default_factory=SecurityConfig, description="")
    tenancy: TenancyConfig = Field(default_factory=TenancyConfig, description="")
    functions: dict[str, FunctionConfig] = Field(
        default_factory=dict, description="Functions of the warehouses that queries may call."
    )
    audit: AuditConfig = Field(default_factory=AuditConfig, description="")
    measure_aggregates: MeasureAggregatesConfig = Field(
        default_factory=MeasureAggregatesConfig, description=""
    )
    rollups: RollupsConfig = Field(default_factory=RollupsConfig, description="")
    staging: StagingConfig = Field(default_factory=StagingConfig, description="")
    reload: ReloadConfig = Field(default_factory=ReloadConfig, description="")

    @model_validator(mode="after")
    def _limits_of_sources(self) -> Config:
        for name in self.limits:
            if name not in self.data_sources:
                raise ValueError(f"limits: there is no data source {name!r}")
        return self

    @model_validator(mode="after")
    def _safe_logins(self) -> Config:
        check_safe(self.auth, self.tls, self.server.host)
        return self

    def measure_aggregates_for(self, user: str, application: str) -> MeasureAggregates:
        """The setting a session starts with."""
        chosen = self.measure_aggregates
        by_application = chosen.by_application.get(application, chosen.default)
        return chosen.by_user.get(user, by_application)
