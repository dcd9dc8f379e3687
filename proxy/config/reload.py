"""The keys of replacing the model while serving."""

from __future__ import annotations

from pydantic import Field, SecretStr

from proxy.config.section import Section
from proxy.config.units import Seconds


class GitConfig(Section):
    """The model folder is a checkout that follows a branch."""

    remote: str = Field(
        default="",
        pattern=r"^([^-].*)?$",
        description="Remote whose branch is followed (`origin`); empty: none is.",
    )
    branch: str = Field(
        default="main", pattern=r"^[^-].*$", description="Its branch, followed forward only."
    )
    interval: Seconds = Field(
        default=60.0, gt=0, description="How often the remote is looked at; a request does at once."
    )


class ReloadConfig(Section):
    """Replacing the model while serving."""

    watch: bool = Field(default=True, description="Whether a changed model folder is loaded.")
    interval: Seconds = Field(
        default=1.0,
        gt=0,
        description="How often the folder is looked at where the system does not tell of its "
        "changes: over the network, behind links; elsewhere at once, and every 30 s.",
    )
    debounce: Seconds = Field(
        default=0.5, description="How long the folder must be at rest before it is read."
    )
    token: SecretStr | None = Field(
        default=None,
        description="What `POST /reload` needs as bearer (or `X-Gitlab-Token`); without, refused.",
    )
    git: GitConfig = Field(default_factory=GitConfig, description="")
