"""The section ``limits``: what statements may take of a data source, and what a role's may."""

from __future__ import annotations

from pydantic import Field

from proxy.config.section import Section
from proxy.config.units import Bytes, Seconds


class RoleLimits(Section):
    """What the statements of a role may take; what is absent is as for everybody."""

    slots: int | None = Field(
        default=None, ge=0, description="Statements of the role at once, per worker; 0 is any."
    )
    deadline: Seconds | None = Field(
        default=None, description="In place of the source's `deadline`; 0 is none."
    )
    max_rows: int | None = Field(default=None, ge=0, description="Likewise.")
    max_bytes: Bytes | None = Field(default=None, description="Likewise.")
    max_cost: float | None = Field(default=None, ge=0, description="Likewise.")
    max_scanned_bytes: Bytes | None = Field(default=None, description="Likewise.")


class SourceLimits(Section):
    """What statements may take of a data source. 0 is no limit."""

    slots: int = Field(
        default=0,
        ge=0,
        description="Statements at once, per worker; 0 is as many as the source has connections.",
    )
    user_slots: int = Field(default=0, ge=0, description="Statements of one user at once; 0: any.")
    queue_seconds: Seconds = Field(
        default=30.0, description="Time a statement waits for its turn (53300)."
    )
    queue_size: int = Field(
        default=1000, ge=0, description="Statements that wait; the next is refused (53300)."
    )
    deadline: Seconds = Field(
        default=0.0,
        description="A statement that takes longer, waiting included, is cancelled (57014).",
    )
    max_rows: int = Field(
        default=0, ge=0, description="A statement that returns more fails (53400), uncut."
    )
    max_bytes: Bytes = Field(default=0, description="Likewise, of what the source sends.")
    max_cost: float = Field(
        default=0.0,
        ge=0,
        description="A statement whose estimated cost is higher is not run (53400); PostgreSQL: "
        "that of EXPLAIN.",
    )
    max_scanned_bytes: Bytes = Field(
        default=0, description="Likewise, of the bytes that a dry run says it would read."
    )
    health_seconds: Seconds = Field(
        default=2.5,
        description="What a look at the source may take: three in a row without an answer, and "
        "nothing heard of it meanwhile, and it is down. 0: it is not looked at.",
    )
    by_role: dict[str, RoleLimits] = Field(
        default_factory=dict, description="Of who has several roles, the widest holds."
    )
