"""Statements of real clients answer as on a plain PostgreSQL with the same tables."""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine

import pytest

from proxy.catalog import Catalog, CatalogError
from proxy.catalog.backend import CatalogBackend
from proxy.catalog.connection import Address, ChildConnection, connect
from proxy.catalog.pool import Pool
from proxy.catalog.results import CatalogAnalysis
from tests.catalog.support import CORPUS, Captured, captured, rows_of
from tests.support.oracle import OraclePostgres

FIRST_USER_OID = 16384

Shape = list[tuple[str, int, int]]


@pytest.fixture
async def plain(oracle: OraclePostgres) -> AsyncIterator[Pool]:
    """The corpus' schema in a plain PostgreSQL, reached as its role ``bi``."""
    address = Address(host=oracle.host, port=oracle.port)
    admin = await connect(address, "oracle", "postgres")
    await admin.execute("DROP DATABASE IF EXISTS shop")
    await admin.execute("DROP ROLE IF EXISTS bi")
    await admin.execute("CREATE DATABASE shop")
    admin.close()
    owner = await connect(address, "oracle", "shop")
    script = (CORPUS / "schema.sql").read_text().splitlines()
    for line in script:
        if not line.startswith(("create database", "\\c")):
            await owner.execute(line)
    owner.close()

    async def connect_plain(user: str) -> ChildConnection:
        return await connect(address, user, "shop")

    pool = Pool(connect_plain, 2, 5.0, 60.0)
    yield pool
    await pool.close()


async def answer(backend: CatalogBackend, statement: Captured) -> Shape | str:
    """Names, types and modifiers of the result, or the SQLSTATE."""
    try:
        if statement.protocol == "simple":
            result = await backend.run_simple(statement.sql)
        else:
            result = await backend.run(
                statement.sql,
                statement.parameter_oids,
                statement.parameter_formats,
                statement.parameters,
                (),
            )
        await rows_of(result)
    except CatalogError as error:
        return error.sqlstate
    return [
        (
            field.name,
            field.type_oid if field.type_oid < FIRST_USER_OID else FIRST_USER_OID,
            field.type_modifier,
        )
        for field in result.fields or ()
    ]


JUSTIFIED: dict[str, str] = {
    "pg_sleep": "waiting is revoked: 42501",
}


async def test_introspection_of_every_client(catalog: Catalog, plain: Pool) -> None:
    statements = captured(("introspection",))
    assert len(statements) >= 356
    differences = []
    for statement in statements:
        if any(word in statement.sql for word in JUSTIFIED):
            continue
        # A connection is used again as it is left: like a client's that goes on.
        oracle = CatalogBackend(plain, "bi", {}, {}, 20.0)
        await oracle.open()
        expected = await answer(oracle, statement)
        await oracle.close()
        async with catalog.lease("bi", {}) as backend:
            found = await answer(backend, statement)
        if found != expected:
            differences.append((statement.client, statement.sql, expected, found))
    assert differences == []


async def test_analysis_of_every_clients_data_statements(catalog: Catalog, plain: Pool) -> None:
    """Parse and Describe agree with a plain PostgreSQL: types, columns and errors."""
    statements = captured(("data", "introspection"))
    differences = []
    for statement in statements:
        oracle = CatalogBackend(plain, "bi", {}, {}, 20.0)
        await oracle.open()
        expected = await described(oracle.prepare(statement.sql, statement.parameter_oids))
        await oracle.close()
        found = await described(catalog.analyse(statement.sql, statement.parameter_oids, {}, "bi"))
        if found != expected:
            differences.append((statement.client, statement.sql, expected, found))
    assert differences == []


async def described(analysis: Coroutine[object, object, CatalogAnalysis]) -> object:
    try:
        answer = await analysis
    except CatalogError as error:
        return error.fields
    columns = [(name, min(oid, FIRST_USER_OID), mod) for name, oid, mod in answer.columns]
    return answer.parameter_oids, columns
