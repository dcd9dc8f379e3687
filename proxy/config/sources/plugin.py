"""The keys of a data source whose connector is another package's."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from proxy.config.sources.base import Source


class PluginSource(Source):
    """A warehouse by a connector that an installed package registers."""

    type: Literal["plugin"] = Field(description="`plugin`")
    plugin: str = Field(
        min_length=1, description="Name of its entry point in the group `cubewire.connectors`."
    )
    connector_options: dict[str, Any] = Field(
        default_factory=dict, repr=False, description="The connector's options."
    )

    def options(self) -> dict[str, object]:
        """The options as the connector takes them."""
        return dict(self.connector_options)
