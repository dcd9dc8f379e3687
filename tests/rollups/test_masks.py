"""What a caller sees masked is answered by groups, with the mask applied to what they store."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pytest

from semantic.compiler.rollups.api import RollupCandidates, StoredRollup
from semantic.model.members import Mask
from semantic.model.model import Model
from semantic.model.policy import AccessPolicy, MemberFilter, MemberRule, RowRule
from semantic.model.template import Reference, parse_template
from tests.rollups.random_policies import Rights
from tests.rollups.test_stored import unused
from tests.rollups.warehouses import Warehouse, candidates_of, governed_model

MARCH = datetime(2024, 3, 1, tzinfo=UTC)
BY_KIND = "SELECT kind, amount, COUNT(*), COUNT(kind), COUNT(DISTINCT kind) FROM sales GROUP BY 1"


def policy(*masked: str, kind: str = "", units: int | None = None) -> AccessPolicy:
    """One for the group of this test: what is masked, and for which rows it is."""
    rows = [MemberFilter(Reference(("kind",)), "equals", (kind,))] if kind else []
    rows += [] if units is None else [MemberFilter(Reference(("units",)), "gt", (units,))]
    return AccessPolicy(
        groups=("some",),
        member_masking=MemberRule(includes=masked) if masked else None,
        row_level=RowRule(tuple(rows)) if rows else None,
    )


@dataclass(frozen=True)
class Case:
    """Policies, masks, a statement, and why it is not answered by groups; nothing where it is."""

    name: str
    policies: tuple[AccessPolicy, ...]
    masks: dict[str, str | int | None]
    sql: str
    reason: str = ""
    elsewhere: bool = False


def _mask(text: str | int | None) -> Mask:
    """A literal, or SQL where it has braces or parentheses."""
    is_sql = isinstance(text, str) and any(each in text for each in "{(")
    return Mask(parse_template(str(text))) if is_sql else Mask(value=text)


HIDDEN = (policy("kind"),)
ROWS_OF_A = (policy("kind", "shop_id"), policy(kind="a"))
AMOUNT = (policy("amount"),)
BY_SHOP = "SELECT shop_id, {} FROM sales{} GROUP BY 1"
SHORT = "SELECT kind, amount FROM sales GROUP BY 1"
UNLIKE_A = "CASE WHEN {kind} = 'a' THEN 'A' ELSE '?' END"
BY_LATE = "CASE WHEN {shop_id} > 2 THEN 'late' ELSE 'x' END"
CUBED = "SELECT kind, shop_id, amount, GROUPING(kind) FROM sales GROUP BY CUBE (kind, shop_id)"
EXTREMES = "SELECT MAX(kind), COUNT(*) FILTER (WHERE kind IS NULL) FROM sales"
TOTAL = "SELECT SUM(shop_id) FROM sales"
FEW = (policy("kind", kind="b"), policy(kind="a"))
UNKEPT = (policy("kind"), policy(units=2))
ITS_MASK = "kind as the caller sees it (store all that its mask is over)"
UNRULED = "that access policies and filters of views are over"
CASES = [
    Case("null", HIDDEN, {}, BY_KIND, elsewhere=True),
    Case("a literal", HIDDEN, {"kind": "?"}, BY_KIND, elsewhere=True),
    Case("a number", (policy("shop_id"),), {"shop_id": -1}, BY_SHOP.format("amount", "")),
    Case("of itself", HIDDEN, {"kind": UNLIKE_A}, BY_KIND),
    Case("of another member", HIDDEN, {"kind": BY_LATE}, BY_KIND),
    Case("of a masked member", (policy("kind", "shop_id"),), {"kind": BY_LATE}, BY_KIND),
    Case("in conditions", HIDDEN, {"kind": "?"}, BY_SHOP.format("amount", " WHERE kind = '?'")),
    Case("in grouping sets", HIDDEN, {"kind": "COALESCE({kind}, '?')"}, CUBED),
    Case("in extremes", HIDDEN, {}, EXTREMES, elsewhere=True),
    Case("in some rows", ROWS_OF_A, {"kind": "?"}, BY_KIND),
    Case("in some rows, of others", ROWS_OF_A, {"kind": BY_LATE}, BY_KIND),
    Case("in some rows that are few", FEW, {"kind": "?"}, BY_KIND),
    Case("a measure", AMOUNT, {}, BY_KIND, elsewhere=True),
    Case("a measure by a number", AMOUNT, {"amount": "(1.50)"}, BY_KIND),
    Case("in a measure", AMOUNT, {"amount": "(4.5)"}, BY_SHOP.format("per_sale", "")),
    Case("a view", HIDDEN, {"kind": "?"}, SHORT.replace("sales", "overview"), elsewhere=True),
    Case("of what is not stored", HIDDEN, {"kind": "CAST({units} AS text)"}, BY_KIND, ITS_MASK),
    Case("in rows told by what is not stored", UNKEPT, {}, BY_KIND, UNRULED),
    Case("by chance", HIDDEN, {"kind": "CAST(random() AS text)"}, SHORT, ITS_MASK),
    Case("by the clock", HIDDEN, {"kind": "CAST(now() AS text)"}, SHORT, ITS_MASK),
    Case(
        "the measure by another name", AMOUNT, {"amount": "(2.0)"}, "SELECT SUM(amount) FROM sales"
    ),
    Case("sums of it", (policy("shop_id"),), {"shop_id": 3}, TOTAL, "SUM has to see each row"),
]


def built(stored: list[StoredRollup]) -> RollupCandidates:
    return replace(candidates_of(stored), others=False)


def governed(case: Case) -> Model:
    masks = tuple((name, _mask(mask)) for name, mask in case.masks.items())
    return Rights(case.policies, masks).of(governed_model())


@pytest.fixture
def restored(warehouse: Warehouse) -> Iterator[Warehouse]:
    model = warehouse.model
    yield warehouse
    warehouse.use(model)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_masks_over_stored_groups(case: Case, restored: Warehouse) -> None:
    restored.use(governed(case))
    stored = [restored.build("sales.by_day")]
    access = restored.access("some")
    found = restored.over_rollups(case.sql, built(stored), access=access)
    plan = unused(found.statement)
    assert found.statement.governed
    if case.reason:
        assert found.statement.rollups == (), plan
        assert case.reason in plan
        return
    assert found.statement.rollups == ("sales.by_day",), plan
    assert found.rows == restored.over_source(case.sql, access=access).rows
    # Nobody who may see everything is told the same.
    model = restored.model
    cubes = (replace(cube, access_policies=()) for cube in model.cubes)
    restored.use(replace(model, cubes=tuple(cubes)))
    assert restored.over_source(case.sql).rows != found.rows


def test_masks_over_groups_and_rows_of_the_source(restored: Warehouse) -> None:
    """Where the rest is read from the source, both halves are masked before they are grouped."""
    for case in CASES:
        if case.reason or "shop_id" in case.sql + str(case.masks) + str(case.policies):
            continue
        restored.use(governed(case))
        stored = built([restored.build("sales.latest", ((None, MARCH),))])
        access = restored.access("some")
        sql = case.sql.replace("FROM sales", "FROM sales WHERE sold_at >= '2023-06-07 08:09'")
        for text in (case.sql, sql):
            found = restored.over_rollups(text, stored, access=access)
            plan = unused(found.statement)
            assert found.statement.rollups == ("sales.latest",), (case.name, plan)
            assert found.rows == restored.over_source(text, access=access).rows, case.name


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_only_constants_are_masked_elsewhere(case: Case, in_apart: Warehouse) -> None:
    model = in_apart.model
    in_apart.use(governed(case))
    try:
        stored = built([in_apart.build("sales.by_day")])
        access = in_apart.access("some")
        found = in_apart.over_rollups(case.sql, stored, access=access)
        if case.elsewhere:
            assert found.statement.rollups == ("sales.by_day",), unused(found.statement)
        if not found.statement.rollups:
            return
        assert found.rows == in_apart.over_source(case.sql, access=access).rows
    finally:
        in_apart.use(model)
