"""``cubewire`` over PostgreSQL as a warehouse that knows little: see ``tests.support.limited``."""

from __future__ import annotations

import sys

from connectors.base import Capabilities
from connectors.postgres_connector import PostgresConnector
from proxy.cli import main
from tests.support import limited

if __name__ == "__main__":
    limited.install()
    PostgresConnector.dialect = limited.NAME
    PostgresConnector.capabilities = Capabilities(snapshots=True)
    sys.exit(main())
