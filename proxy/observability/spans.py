"""Who makes traces of statements, where that is configured."""

from __future__ import annotations

import importlib
from typing import Protocol, cast

from proxy.config.observability import TracingConfig
from proxy.observability.record import StatementRecord


class TracingError(Exception):
    """Traces are configured, but what they need is not installed."""


class Traces(Protocol):
    """Makes spans of statements."""

    def statement(self, record: StatementRecord) -> None:
        """A statement has ended."""

    def close(self) -> None:
        """Send what waits. Takes a few seconds where the collector does not answer."""


class _Module(Protocol):
    def open_tracing(self, config: TracingConfig, version: str) -> Traces:
        """See ``proxy.observability.tracing``."""


def open_traces(config: TracingConfig, version: str) -> Traces | None:
    """Traces as configured; None where they are off. Raises TracingError."""
    if not config.endpoint:
        return None
    try:
        module = cast("_Module", importlib.import_module("proxy.observability.tracing"))
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("opentelemetry"):
            raise
        raise TracingError(
            "tracing.endpoint needs OpenTelemetry: pip install 'cubewire[otel]'"
        ) from None
    return module.open_tracing(config, version)
