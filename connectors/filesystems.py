"""Drivers of fsspec by the scheme of a URL, and their options' secrets kept out of what is said."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from typing import Any

from connectors.options import ConnectorOptionsError

# By scheme, what installs its driver. fsspec itself has the last two.
EXTRAS = {
    "s3": "s3",
    "s3a": "s3",
    "gs": "gcs",
    "gcs": "gcs",
    "az": "azure",
    "abfs": "azure",
    "abfss": "azure",
    "file": "s3",
    "memory": "s3",
}
_SHORTEST_SECRET = 4


def open_filesystem(scheme: str, options: Mapping[str, Any]) -> Any:
    """The driver of a scheme of ``EXTRAS``; it remembers no listings.

    Raises:
        ConnectorOptionsError: it is not installed, or refuses the options.
    """
    try:
        fsspec = importlib.import_module("fsspec")
        return fsspec.filesystem(scheme, use_listings_cache=False, **options)
    except ImportError as error:
        raise ConnectorOptionsError(
            f"{scheme}:// needs another Python package: pip install 'cubewire[{EXTRAS[scheme]}]'"
        ) from error
    except (TypeError, ValueError) as error:
        raise ConnectorOptionsError(discreet(f"{scheme}://: {error}", options)) from None


def discreet(text: str, options: Mapping[str, Any]) -> str:
    """A text for people, without the secrets that stand in a driver's options."""
    for secret in _texts(options):
        text = text.replace(secret, "***")
    return text


def _texts(value: object) -> Iterator[str]:
    """All texts in options that are long enough to be secrets."""
    if isinstance(value, Mapping):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, str) and len(value) >= _SHORTEST_SECRET:
        yield value
