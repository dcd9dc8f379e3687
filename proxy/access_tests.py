"""Tests of access policies that stand in the model: run as their caller, on the real warehouse."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from connectors.errors import WarehouseError
from proxy.catalog.errors import CatalogError
from proxy.engine import Engine
from proxy.errors import SessionError, flatten
from proxy.queries import Caller, CatalogQuery
from proxy.sources import RowSource
from proxy.wire.backend import DataRow, FieldDescription
from semantic.compiler.api import SessionSettings
from semantic.errors import SemanticError
from semantic.model.model import Model
from semantic.model.relations import Cube, View
from semantic.model.values import FrozenMap, FrozenValue, ModelTest, TestCaller
from semantic.security.context import SecurityContext

Row = dict[str, str | None]


@dataclass(frozen=True, slots=True)
class TestOutcome:
    """What became of one test.

    Attributes:
        name: ``relation: name of the test``.
        problem: what differs from what is expected; empty where nothing does.
    """

    __test__ = False

    name: str
    location: str
    problem: str = ""


def access_tests(model: Model) -> Iterator[tuple[str, ModelTest]]:
    """The tests that run as somebody, each with its cube's or view's name."""
    relations: list[Cube | View] = [*model.cubes, *model.views]
    for relation in relations:
        for test in relation.tests:
            if test.caller is not None:
                yield relation.name, test


async def run_test(engine: Engine, database: str, relation: str, test: ModelTest) -> TestOutcome:
    """Run one test, whose failure is an outcome."""
    assert test.caller is not None
    name, place = f"{relation}: {test.name}", str(test.location)
    try:
        fields, rows = await _rows_of(
            engine, await _caller(engine, database, test.caller), test.sql
        )
    except (SemanticError, CatalogError, SessionError, WarehouseError) as error:
        said = flatten(error)
        if test.expect_error in ("*", said["C"]):
            return TestOutcome(name, place)
        return TestOutcome(name, place, f"ERROR: {said['C']}: {said['M']}")
    if test.expect is None:
        problem = f"{len(rows)} rows instead of error {test.expect_error}"
        return TestOutcome(name, place, problem)
    return TestOutcome(name, place, _difference(fields, rows, test))


def context_of(caller: TestCaller) -> SecurityContext:
    """Who the caller of a test is: what the model says, whatever is configured of such a user."""
    attributes = {name: value for name, value in caller.attributes.items}
    return SecurityContext.of(
        caller.user,
        groups=frozenset(caller.groups),
        roles=frozenset(caller.roles),
        attributes=attributes,
        tenant=caller.tenant,
    )


async def _caller(engine: Engine, database: str, caller: TestCaller) -> Caller:
    context = context_of(caller)
    scope = await engine.scopes.open(context)
    settings = SessionSettings(
        caller.user, database, version=engine.catalog.version, access=scope.access
    )
    return Caller(caller.user, 0, {}, settings, context, scope, cache="off")


async def _rows_of(
    engine: Engine, caller: Caller, sql: str
) -> tuple[Sequence[FieldDescription], list[DataRow]]:
    query = await engine.prepare(sql.rstrip().removesuffix(";"), (), caller)
    source: RowSource
    if isinstance(query, CatalogQuery):
        source = await engine.open_catalog(query.sql, caller)
    else:
        query = engine.settle(query, (), caller)
        source = (await engine.open_cube(query, (), (0,) * len(query.fields), caller)).source
    rows: list[DataRow] = []
    try:
        while (piece := await source.next_rows()) is not None:
            for number in range(piece.rows):
                data = bytes(piece.slice(number, number + 1).data)
                rows.append(DataRow.decode(data[5:]))
    finally:
        await source.close()
    return query.fields or (), rows


def _difference(fields: Sequence[FieldDescription], rows: list[DataRow], test: ModelTest) -> str:
    """What is wrong with the rows; their order counts where the statement orders them."""
    names = [field.name for field in fields]
    found = [_texts(names, row) for row in rows]
    expected = list(test.expect or ())
    unknown = {name for row in expected for name, _ in row.items} - set(names)
    if unknown:
        return f"the statement has no column {', '.join(sorted(unknown))}"
    ordered = "order by" in test.sql.lower()
    left = list(found)
    for row in expected:
        candidates = left[:1] if ordered else left
        match = next((item for item in candidates if _equal(item, row)), None)
        if match is None:
            return f"no row is {_shown(row)}; there are {found[:5]}"
        left.remove(match)
    return f"{len(left)} more rows, such as {left[0]}" if left else ""


def _texts(names: list[str], row: DataRow) -> Row:
    values = (None if value is None else bytes(value).decode() for value in row.values)
    return dict(zip(names, values, strict=True))


def _equal(row: Row, expected: FrozenMap) -> bool:
    return all(_same(row[name], value) for name, value in expected.items)


def _same(text: str | None, expected: FrozenValue) -> bool:
    if text is None or expected is None:
        return text is expected
    if isinstance(expected, bool):
        return text == ("t" if expected else "f")
    if isinstance(expected, int | float):
        try:
            return Decimal(text) == Decimal(repr(expected))
        except InvalidOperation:
            return False
    return text == str(expected)


def _shown(row: FrozenMap) -> str:
    return "{" + ", ".join(f"{name}: {value}" for name, value in row.items) + "}"
