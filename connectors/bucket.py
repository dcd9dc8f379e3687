"""Objects below a URL: S3 and what speaks its protocol, Google Cloud Storage, Azure, by fsspec.

An object is there whole or not at all, and cannot be renamed. What is built on top needs one thing
more: of two processes that create an object of the same name, one is told that it was too late.
Only drivers are taken that do that in one step; ``check`` tries whether the store does it, too.

fsspec is imported when a URL is configured. Credentials are the driver's own matter (environment,
instance role) or among its options; what the options say never stands in an error.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from connectors.errors import WarehouseError
from connectors.filesystems import EXTRAS, discreet, open_filesystem


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object as a listing has it.

    Attributes:
        name: below the bucket's URL.
        modified: Unix seconds; None where the driver does not say.
    """

    name: str
    bytes: int
    modified: float | None


def check_url(url: str) -> None:
    """Refuse what is no URL of objects. Raises ValueError."""
    parts = urlsplit(url)
    if not parts.scheme or "://" not in url:
        raise ValueError("a URL such as s3://bucket/prefix is expected")
    if parts.scheme not in EXTRAS:
        known = ", ".join(f"{each}://" for each in EXTRAS if each != "memory")
        raise ValueError(f"writers cannot share {parts.scheme}://, but {known}")
    has_user = parts.username is not None and parts.scheme not in {"abfs", "abfss"}
    if has_user or parts.password is not None or parts.query:
        raise ValueError("credentials belong in rollups.storage or the environment, not in the URL")


class Bucket:
    """The objects below one URL. Blocking; safe for use from several threads.

    Args:
        url: ``s3://bucket/prefix``.
        options: of the fsspec driver.

    Raises:
        ConnectorOptionsError: the driver is missing, or refuses the options.
    """

    def __init__(self, url: str, options: Mapping[str, Any]) -> None:
        check_url(url)
        self.url = url.rstrip("/")
        self._options = options
        scheme = urlsplit(url).scheme
        self._is_folder = scheme == "file"
        if self._is_folder:
            options = {"auto_mkdir": True, **options}
        self._files = open_filesystem(scheme, options)
        self._root = str(self._files._strip_protocol(self.url)).rstrip("/")

    def check(self) -> None:
        """Try that an object is created once. Raises WarehouseError 0A000, 08006."""
        name = f"locks/{secrets.token_hex(8)}.probe"
        try:
            self.create(name, b"")
            again = self.create(name, b"")
        finally:
            self.delete(name)
        if again:
            raise WarehouseError(
                "0A000",
                f"{self.url} cannot keep pre-aggregations",
                detail="An object that exists already was created once more, so processes that "
                "share it could lose what others have stored.",
                hint="Use a store and a driver with conditional writes.",
                reached=False,
            )

    def create(self, name: str, data: bytes) -> bool:
        """Make an object; False where there is one of that name."""
        with self._translated():
            try:
                if self._is_folder:
                    # The driver's own way looks first and writes then.
                    _create_file(Path(self._path(name)), data)
                else:
                    self._files.pipe_file(self._path(name), data, mode="create")
            except FileExistsError:
                return False
        return True

    def replace(self, name: str, data: bytes) -> None:
        """Make an object or take the place of one."""
        with self._translated():
            self._files.pipe_file(self._path(name), data)

    def read(self, name: str) -> bytes | None:
        """An object's content; None where there is none."""
        with self._translated():
            try:
                return bytes(self._files.cat_file(self._path(name)))
            except FileNotFoundError:
                return None

    def upload(self, file: Path, name: str) -> None:
        """Make an object of a file."""
        with self._translated():
            self._files.put_file(str(file), self._path(name))

    def download(self, name: str, file: Path) -> bool:
        """Make a file of an object; False where there is none."""
        with self._translated():
            try:
                self._files.get_file(self._path(name), str(file))
            except FileNotFoundError:
                return False
        return True

    def delete(self, name: str) -> None:
        """Remove an object, if it is there."""
        with self._translated():
            try:
                self._files.rm_file(self._path(name))
            except FileNotFoundError:
                return

    def list(self, folder: str) -> list[StoredObject]:
        """The objects of a folder, by name."""
        with self._translated():
            try:
                found = self._files.ls(self._path(folder), detail=True)
            except FileNotFoundError:
                return []
        objects = [_object(folder, each) for each in found if each.get("type") == "file"]
        return sorted(objects, key=lambda each: each.name)

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except FileExistsError:
            raise
        except Exception as error:  # noqa: BLE001 - drivers raise whatever their libraries do
            raise WarehouseError(
                "08006",
                "the bucket of pre-aggregations cannot be used",
                detail=discreet(f"{self.url}: {type(error).__name__}: {error}", self._options),
            ) from None


def _create_file(path: Path, data: bytes) -> None:
    """Make a file that has its content from the start. Raises FileExistsError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{secrets.token_hex(8)}.new")
    temporary.write_bytes(data)
    try:
        os.link(temporary, path)
    finally:
        temporary.unlink()


def _object(folder: str, found: Mapping[str, Any]) -> StoredObject:
    name = str(found["name"]).rstrip("/").rpartition("/")[2]
    moment = found.get("LastModified") or found.get("last_modified") or found.get("created")
    moment = found.get("mtime") or found.get("updated") or moment
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment)
    seconds = moment.timestamp() if isinstance(moment, datetime) else moment
    return StoredObject(
        f"{folder}/{name}", int(found["size"]), None if seconds is None else float(seconds)
    )
