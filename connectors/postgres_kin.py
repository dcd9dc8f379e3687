"""Who speaks PostgreSQL's protocol and computes as PostgreSQL does, and who only speaks it.

Timescale, Citus, AlloyDB, Aurora, Neon, YugabyteDB and Greenplum run PostgreSQL's own code for
expressions, types and errors. Redshift averages integers to integers, CockroachDB divides them to
decimals: what is sent to PostgreSQL as it stands would mean something else there.
"""

from __future__ import annotations

import re

from connectors.errors import WarehouseError

OLDEST = 10
_OTHERS = ("Redshift", "CockroachDB", "CrateDB", "Materialize", "QuestDB", "RisingWave")
_POSTGRES = re.compile(r"PostgreSQL (\d+)")


def check_engine(version: str) -> int:
    """The version of PostgreSQL that a server is, by what its ``version()`` says.

    Raises:
        WarehouseError: 0A000, it is another engine, or too old a one.
    """
    found = _POSTGRES.match(version)
    other = next((name for name in _OTHERS if name in version), None)
    if other is not None or found is None:
        raise WarehouseError(
            "0A000",
            f"the data source is {other or version.split()[0] if version else 'unknown'}, which "
            "speaks PostgreSQL's protocol and computes by other rules",
            hint="Only PostgreSQL and what is built on its own code can be a postgres data source.",
            reached=False,
        )
    number = int(found[1])
    if number < OLDEST:
        raise WarehouseError(
            "0A000",
            f"the data source is PostgreSQL {number}; {OLDEST} or newer is needed",
            reached=False,
        )
    return number
