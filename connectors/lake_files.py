"""The files of a table below a folder or a URL: found by this process, read by DuckDB.

Local files DuckDB reads by itself. For ``s3://`` and the like it is given fsspec's driver: its own
would have to be fetched from the internet when the server starts.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

import duckdb

from connectors.filesystems import EXTRAS, open_filesystem
from connectors.options import ConnectorOptionsError

_PATTERN = frozenset("*?[")


class LakeFiles:
    """What lies at one URL, or at an absolute path.

    Args:
        url: of files (``s3://bucket/orders/*.parquet``) or of a table's folder.
        storage: options of the fsspec driver; not looked at for local files.
        is_folder: the URL is a table's folder, whatever letters are in its name.

    Raises:
        ConnectorOptionsError: the URL is none, or its driver is not installed.
    """

    def __init__(self, url: str, storage: Mapping[str, Any], *, is_folder: bool) -> None:
        scheme = urlsplit(url).scheme if "://" in url else ""
        if scheme == "file":
            url, scheme = unquote(urlsplit(url).path), ""
        if not scheme and not url.startswith("/"):
            raise ConnectorOptionsError(f"{url!r} is neither an absolute path nor a URL")
        if scheme and scheme not in EXTRAS:
            known = ", ".join(f"{each}://" for each in EXTRAS)
            raise ConnectorOptionsError(f"no driver for {scheme}://; there are {known}")
        self.url = url.rstrip("/")
        self._is_folder = is_folder
        self._scheme = scheme
        self._driver = open_filesystem(scheme, storage) if scheme else None

    @property
    def folders(self) -> tuple[str, ...]:
        """The deepest folder that holds everything, in each way that DuckDB may write it."""
        parts = self.url.split("/")
        if not self._is_folder:
            parts.pop()
            plain = (n for n, part in enumerate(parts) if _PATTERN & set(part))
            parts = parts[: next(plain, len(parts))]
        folder = "/".join(parts) + "/"
        if self._driver is None:
            return (folder,)
        stripped = str(self._driver._strip_protocol(folder)).rstrip("/")
        # DuckDB writes what it finds with the first name of the driver's, whatever it was asked by.
        names = dict.fromkeys((self._scheme, self._name()))
        return folder, *(f"{name}://{stripped}/" for name in names)

    def register(self, database: duckdb.DuckDBPyConnection) -> None:
        """Let a database read from here; one driver for each scheme."""
        if self._driver is not None and not database.filesystem_is_registered(self._name()):
            database.register_filesystem(self._driver)

    def matching(self) -> list[tuple[str, str]]:
        """The files that the URL's pattern names, sorted, each with a mark of its content."""
        if self._driver is None:
            found = sorted(glob.glob(self.url, recursive=True))
            return [(path, _local_mark(path)) for path in found if os.path.isfile(path)]
        listed = self._driver.glob(self.url, detail=True)
        return sorted(
            (f"{self._scheme}://{str(path).removeprefix(f'{self._scheme}://')}", _mark(found))
            for path, found in listed.items()
            if found.get("type") != "directory"
        )

    def _name(self) -> str:
        protocol = self._driver.protocol if self._driver is not None else ""
        return protocol if isinstance(protocol, str) else str(protocol[0])


def _local_mark(path: str) -> str:
    found = os.stat(path)
    return f"{found.st_ino} {found.st_size} {found.st_mtime_ns}"


def _mark(found: Mapping[str, Any]) -> str:
    """What changes with an object's content, as far as its listing tells."""
    marks = (found.get(key) for key in ("ETag", "etag", "md5Hash", "LastModified", "mtime", "size"))
    return " ".join(str(mark) for mark in marks if mark is not None)
