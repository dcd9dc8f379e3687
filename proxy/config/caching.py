"""The section ``cache``: results that are kept, for how long, and where."""

from __future__ import annotations

from pydantic import Field, SecretStr, field_validator, model_validator

from proxy.config.section import Section
from proxy.config.units import Bytes, Seconds

_MIB = 1024 * 1024
_SCHEMES = ("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel")
_CLUSTERS = ("redis+cluster", "rediss+cluster")


class RedisConfig(Section):
    """Redis: results that all processes share."""

    url: SecretStr | None = Field(
        default=None,
        description="`redis://user:password@host:6379/0`; `rediss://` for TLS; also `unix://`, "
        "`redis+sentinel://host:26379,host2:26379/service/0`, `redis+cluster://host:6379`.",
    )
    prefix: str = Field(default="cubewire", description="What all keys begin with.")
    secret: SecretStr | None = Field(
        default=None,
        description="Key of the checksums of results and of marks of invalidations, the same for "
        "all processes that share them; without one, that of results is made of `state_directory`, "
        "and marks have none.",
    )
    timeout: Seconds = Field(
        default=0.05, gt=0, description="What an answer of Redis may take; later it is a miss."
    )
    max_entry_bytes: Bytes = Field(
        default=64 * _MIB, description="Larger results, compressed, are not stored."
    )
    lock_wait: Seconds = Field(
        default=10.0,
        description="Time to wait for a statement that another process runs, then it is run twice.",
    )

    @field_validator("url")
    @classmethod
    def _known(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            scheme = value.get_secret_value().partition("://")[0]
            if scheme not in (*_SCHEMES, *_CLUSTERS):
                raise ValueError(f"must begin with one of {', '.join((*_SCHEMES, *_CLUSTERS))}")
        return value


class CacheConfig(Section):
    """Results that are kept. Cubes with a `refresh_key` are cached without a time to live."""

    enabled: bool = Field(default=True, description="Whether results are kept at all.")
    memory_bytes: Bytes = Field(
        default=128 * _MIB, description="Memory for results, per worker; least recently used go."
    )
    max_entry_bytes: Bytes = Field(
        default=16 * _MIB, description="Larger results are not kept in memory."
    )
    ttl: Seconds = Field(
        default=0.0, description="How old results of cubes without a `refresh_key` may be; 0: none."
    )
    by_source: dict[str, Seconds] = Field(
        default_factory=dict, description="The same by data source, in place of `ttl`."
    )
    by_cube: dict[str, Seconds] = Field(
        default_factory=dict,
        description="By cube; goes before `every` of a `refresh_key` too.",
    )
    by_role: dict[str, Seconds] = Field(
        default_factory=dict, description="How old results a role may be given; 0 is none."
    )
    stale_while_revalidate: Seconds = Field(
        default=0.0, description="How long an old result is still served while it is asked anew."
    )
    refresh_every: Seconds = Field(
        default=10.0, gt=0, description="How often a `refresh_key.sql` without `every` is asked."
    )
    listen: dict[str, str] = Field(
        default_factory=dict,
        description="Channels by PostgreSQL source: NOTIFY with a cube's name, or nothing for all.",
    )
    redis: RedisConfig = Field(default_factory=RedisConfig, description="")

    @model_validator(mode="after")
    def _fits(self) -> CacheConfig:
        if self.max_entry_bytes > self.memory_bytes:
            raise ValueError("cache.max_entry_bytes is more than cache.memory_bytes")
        return self
