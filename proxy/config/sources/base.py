"""What all kinds of data source have in common."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from proxy.config.section import Section


class Source(Section):
    """A data source: where a model's cubes have their rows.

    A subclass is a kind. Its fields have the names, types and defaults of its connector's options,
    but for those that the server reads itself.
    """

    server_keys: ClassVar[frozenset[str]] = frozenset(("type",))
    """Keys that the server reads itself; the others are the connector's options."""

    type: str = Field(description="The kind of data source, as below.")

    def options(self) -> dict[str, object]:
        """The options as the connector takes them."""
        return self.model_dump(exclude=set(self.server_keys), exclude_none=True)
