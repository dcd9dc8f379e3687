"""How a catalog is to be run: values only, no behaviour."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class CatalogOptions:
    """Settings of the catalog. All times are seconds.

    Attributes:
        dsn: an external PostgreSQL (``postgresql://user:password@host/database``) to be used
            instead of a child process; see ``proxy.catalog.external`` for its limits.
        directory: where the child's private directory is made; None is the system's temporary
            directory. Its path must be short: a Unix socket's path has at most 107 bytes.
        template_directory: where an initialised cluster is kept between runs; None is
            ``$XDG_CACHE_HOME/cubewire`` or ``~/.cache/cubewire``.
        binaries: the directory of ``postgres`` and ``initdb``; None searches for it.
        database: the only database's name, as clients see it.
        run_as: operating-system user of the child when this process is root.
        backends: most connections serving introspection at one time.
        analysis_backends: most connections serving analysis at one time.
        private_backends: most sessions with temporary tables at one time, a backend each.
        lease_timeout: how long a session waits for a backend before 53300.
        idle_timeout: how long an unused backend is kept.
        deadline: how long one introspection statement may run, whatever its statement_timeout.
        analysis_deadline: the same for the analysis of one statement.
        restart_timeout: how long a statement waits for a child that is being restarted.
        keep_owner: keep the owner's connection, which a deployment makes several MiB large.
        memory_limit_mb: most address space of one child process; 0 for no limit.
    """

    dsn: str | None = None
    directory: Path | None = None
    template_directory: Path | None = None
    binaries: Path | None = None
    database: str = "cubewire"
    run_as: str = "nobody"
    backends: int = 50
    analysis_backends: int = 4
    private_backends: int = 50
    lease_timeout: float = 10.0
    idle_timeout: float = 60.0
    deadline: float = 60.0
    analysis_deadline: float = 10.0
    restart_timeout: float = 15.0
    keep_owner: bool = True
    memory_limit_mb: int = 1024
