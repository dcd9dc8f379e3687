"""The users file: logins that ``cubewire users`` manages while the server runs.

YAML, a user a line or a mapping each::

    anna: SCRAM-SHA-256$4096:...
    bert:
      verifier: SCRAM-SHA-256$4096:...
      groups: [analysts]
      attributes: {region: north}

It is written as a whole beside itself and renamed, so that nobody ever reads half of it, and only
its owner can read it.
"""

from __future__ import annotations

import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from proxy.auth.files import signature
from proxy.auth.grants import NOTHING, Grants, GrantsError
from proxy.auth.setup import SetupError
from proxy.auth.verifier import Verifier, VerifierError
from semantic.model.values import thaw

_VERIFIER = "verifier"
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_HEADER = "# Logins of Cubewire, written by `cubewire users`.\n"


class UsersFileError(SetupError):
    """The users file cannot be read or written."""


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML's safe types, and no key twice: of two entries for a user, one would count unseen."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[object, object]:
        """See yaml.constructor."""
        made: dict[object, object] = super().construct_mapping(node, deep=deep)
        if len(made) < len(node.value):
            raise yaml.constructor.ConstructorError(
                problem="a key stands here twice", problem_mark=node.start_mark
            )
        return made


@dataclass(frozen=True, slots=True)
class Entry:
    """One user of the file.

    Attributes:
        verifier: None where the user has no password here.
    """

    verifier: Verifier | None
    grants: Grants = NOTHING


@dataclass(frozen=True, slots=True)
class UsersFile:
    """The file at a path, which may not exist yet."""

    path: Path

    def signature(self) -> object:
        """A value that changes when the file does; None where there is none."""
        return signature(self.path)

    def read(self) -> dict[str, Entry]:
        """All users; none where there is no file.

        Raises:
            UsersFileError: it is malformed, or others than its owner can get at it.
        """
        try:
            with self.path.open(encoding="utf-8") as file:
                shared = os.fstat(file.fileno()).st_mode & _OTHERS
                text = file.read()
        except FileNotFoundError:
            return {}
        except (OSError, UnicodeDecodeError) as error:
            raise UsersFileError(f"{self.path} cannot be read: {error}") from None
        if shared:
            raise UsersFileError(f"{self.path} is open to group or others; chmod 600 {self.path}")
        data = self._parsed(text)
        if data is None:
            return {}
        if not isinstance(data, Mapping):
            raise UsersFileError(f"{self.path} is no mapping of users")
        return {str(name): self._entry(name, value) for name, value in data.items()}

    def _parsed(self, text: str) -> object:
        try:
            return yaml.load(text, _Loader)
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            # A ValueError is a date that there is not. Of the text nothing is told: it is secret.
            mark = getattr(error, "problem_mark", None)
            place = f":{mark.line + 1}:{mark.column + 1}" if mark is not None else ""
            problem = getattr(error, "problem", None) or "malformed"
            raise UsersFileError(f"{self.path}{place} is not YAML: {problem}") from None

    def write(self, users: Mapping[str, Entry]) -> None:
        """Replace the whole file. Only within ``locked``.

        Raises:
            UsersFileError: the folder cannot be written to.
        """
        data = {name: _plain(entry) for name, entry in sorted(users.items())}
        text = _HEADER + yaml.safe_dump(data, allow_unicode=True, sort_keys=False)
        try:
            handle, name = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}.")
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    file.write(text)
                    file.flush()
                    os.fsync(file.fileno())
                self._keep_owner(Path(name))
                Path(name).replace(self.path)
            except BaseException:
                Path(name).unlink(missing_ok=True)
                raise
        except OSError as error:
            raise UsersFileError(f"{self.path} cannot be written: {error}") from None

    def _keep_owner(self, fresh: Path) -> None:
        """An administrator's change must not take the file away from the server's own user."""
        try:
            before = self.path.stat()
        except FileNotFoundError:
            return
        if (before.st_uid, before.st_gid) != (os.geteuid(), os.getegid()) and os.geteuid() == 0:
            os.chown(fresh, before.st_uid, before.st_gid)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other writers away between reading and writing.

        Raises:
            UsersFileError: the folder cannot be written to.
        """
        lock = self.path.with_name(f".{self.path.name}.lock")
        try:
            handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise UsersFileError(f"{self.path} cannot be written: {error}") from None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _entry(self, name: object, value: object) -> Entry:
        if not isinstance(name, str) or not name:
            raise UsersFileError(f"{self.path}: a user's name is text; quote {name!r}")
        given = {_VERIFIER: value} if isinstance(value, str) else value
        if not isinstance(given, Mapping):
            raise UsersFileError(f"{self.path}: {name} has neither a verifier nor keys")
        verifier = given.get(_VERIFIER)
        rest = {key: each for key, each in given.items() if key not in (_VERIFIER, "expires")}
        try:
            parsed = None if verifier is None else Verifier.parse(str(verifier))
            grants = Grants.read({**rest, "expires": _seconds(given.get("expires"))})
        except (VerifierError, GrantsError) as error:
            raise UsersFileError(f"{self.path}: {name}: {error}") from None
        return Entry(parsed, grants)


def _seconds(value: object) -> object:
    """Unix seconds of a moment, which YAML may have read as one."""
    stamp = getattr(value, "timestamp", None)
    if stamp is None:
        return value
    if getattr(value, "tzinfo", None) is None:
        raise GrantsError("expires needs an offset or Z")
    return stamp()


def _plain(entry: Entry) -> object:
    """What YAML writes of an entry: only what is set."""
    grants = entry.grants
    data: dict[str, object] = {}
    if entry.verifier is not None:
        data[_VERIFIER] = entry.verifier.text()
    for key in ("groups", "roles", "act_as"):
        if getattr(grants, key):
            data[key] = sorted(getattr(grants, key))
    if grants.attributes:
        data["attributes"] = thaw(grants.attributes)
    if grants.tenant is not None:
        data["tenant"] = grants.tenant
    if grants.expires is not None:
        data["expires"] = grants.expires
    return data[_VERIFIER] if set(data) == {_VERIFIER} else data
