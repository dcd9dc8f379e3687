"""One state of a PostgreSQL's data for several statements, and what is left out of it.

A transaction of the level REPEATABLE READ reads the rows that were committed when its first
statement began. That holds for rows: a table that is emptied by TRUNCATE, written anew, exchanged
for another one by their names, or made a partition is what it is when it is read, and often reads
as empty. So the tables that were read are looked at in the end.
"""

from __future__ import annotations

from connectors.errors import WarehouseError
from connectors.postgres_statement import PostgresStatement

OLDEST = 12
"""The first version that can tell whether partitions have changed."""

_BEGIN = b"START TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
_END = b"ROLLBACK"

# A transaction holds a lock on everything that it has read. A SELECT from the catalog shows what it
# was when the snapshot was taken, functions of the catalog what it is now.
_CHANGED = b"""
SELECT FROM pg_catalog.pg_locks AS l
  LEFT JOIN pg_catalog.pg_class AS c ON c.oid = l.relation
  LEFT JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE l.pid = pg_catalog.pg_backend_pid() AND l.locktype = 'relation'
  AND l.database = (SELECT d.oid FROM pg_catalog.pg_database AS d
                    WHERE d.datname = pg_catalog.current_database())
  AND (c.oid IS NULL
    OR c.relkind IN ('r', 'm', 't') AND c.relfilenode <> 0
      AND c.relfilenode IS DISTINCT FROM pg_catalog.pg_relation_filenode(c.oid)
    OR c.relkind IN ('r', 'm', 'v', 'p', 'f')
      AND pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname)
      IS DISTINCT FROM (SELECT i.identity FROM pg_catalog.pg_identify_object(
        'pg_catalog.pg_class'::pg_catalog.regclass, c.oid, 0) AS i)
    OR c.relkind = 'p'
      AND ARRAY(SELECT h.inhrelid FROM pg_catalog.pg_inherits AS h
                WHERE h.inhparent = c.oid ORDER BY 1)
      <> ARRAY(SELECT t.relid::pg_catalog.oid FROM pg_catalog.pg_partition_tree(c.oid) AS t
               WHERE t.level = 1 ORDER BY 1))
LIMIT 1
"""


async def begin_snapshot(statement: PostgresStatement) -> None:
    """Start the transaction. The snapshot is taken by the statement after this one."""
    await statement.command(_BEGIN)


async def end_snapshot(statement: PostgresStatement) -> None:
    """End the transaction."""
    await statement.command(_END)


async def check_snapshot(statement: PostgresStatement) -> None:
    """Raises WarehouseError (40001) where a table that was read is not the one of the snapshot."""
    await statement.run(_CHANGED, (), (), (), "UTC")
    changed = await statement.rows()
    if changed is None:
        return
    while await statement.rows() is not None:
        pass
    raise WarehouseError(
        "40001",
        "a table of the data source was exchanged while the statement read it and others",
        hint="Run the statement again.",
    )
