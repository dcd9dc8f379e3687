"""Dialects of tables: what a warehouse does exactly as PostgreSQL would, and nothing else.

A dialect is a module of tables here and an entry in ``DIALECTS``.
"""

from __future__ import annotations

from semantic.compiler.expressions.portable.athena import ATHENA
from semantic.compiler.expressions.portable.bigquery import BIGQUERY
from semantic.compiler.expressions.portable.clickhouse import CLICKHOUSE
from semantic.compiler.expressions.portable.databricks import DATABRICKS
from semantic.compiler.expressions.portable.dialect import PortableDialect
from semantic.compiler.expressions.portable.mysql import MARIADB, MYSQL
from semantic.compiler.expressions.portable.snowflake import SNOWFLAKE
from semantic.compiler.expressions.portable.spark import SPARK
from semantic.compiler.expressions.portable.sqlite import SQLITE
from semantic.compiler.expressions.portable.starrocks import DORIS, STARROCKS
from semantic.compiler.expressions.portable.trino import TRINO
from semantic.compiler.expressions.portable.tsql import TSQL

DIALECTS: dict[str, PortableDialect] = {
    tables.dialect: PortableDialect(tables)
    for tables in (
        DORIS,
        MARIADB,
        MYSQL,
        SPARK,
        SQLITE,
        CLICKHOUSE,
        STARROCKS,
        ATHENA,
        BIGQUERY,
        DATABRICKS,
        SNOWFLAKE,
        TRINO,
        TSQL,
    )
}  # fmt: skip
