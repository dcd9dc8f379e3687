"""One random case: with rollups and without, a statement has the same answer."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import duckdb
import psycopg

from connectors.errors import WarehouseError
from semantic.errors import SemanticError
from semantic.security.access import OPEN
from tests.rollups.random_sales import Case, with_rollups
from tests.rollups.warehouses import Warehouse, candidates_of, governed_model, sales_model

COLUMNS = "id, shop_id, kind, units, amount, weight, sold_at, seen_at, day"


@dataclass
class Tally:
    """How many statements were answered at all, and how many of them from a rollup."""

    statements: int = 0
    matched: int = 0
    with_source: int = 0
    governed: int = 0
    kept: int = 0
    masked: int = 0
    masked_matched: int = 0
    refused: dict[str, int] = field(default_factory=dict)

    @property
    def fraction(self) -> float:
        return self.matched / max(self.statements, 1)

    @property
    def masked_fraction(self) -> float:
        return self.masked_matched / max(self.masked, 1)

    def __str__(self) -> str:
        return (
            f"{self.statements} statements, {self.matched} ({self.fraction:.0%}) answered from a "
            f"rollup, {self.with_source} of them with rows of the source, {self.governed} under "
            f"policies, {self.kept} from kept rows; of {self.masked} that read what is masked "
            f"{self.masked_matched} ({self.masked_fraction:.0%}) with masks over stored groups"
        )


MODELS = {"open": sales_model(), "governed": governed_model()}


def check(warehouse: Warehouse, case: Case, tally: Tally) -> None:
    """Compare the answers of a statement with and without rollups."""
    warehouse.execute("DELETE FROM sales")
    if case.rows:
        warehouse.execute(f"INSERT INTO sales ({COLUMNS}) VALUES {', '.join(case.rows)}")
    model = MODELS["governed" if case.group else "open"]
    model = model if case.rights is None else case.rights.of(model)
    warehouse.use(with_rollups(model, case.built))
    access = OPEN if case.group is None else warehouse.access(case.group, kinds=["a", "B"])
    try:
        expected = warehouse.over_source(case.sql, case.zone, access=access)
    except (SemanticError, WarehouseError, duckdb.Error, psycopg.Error) as error:
        # Refused, or out of range: then there is nothing to compare with.
        tally.refused[str(error)[:60]] = tally.refused.get(str(error)[:60], 0) + 1
        return
    warehouse.forget_tables()
    stored = [warehouse.build(f"sales.{item.item.name}", item.ranges) for item in case.built]
    found = warehouse.over_rollups(case.sql, candidates_of(stored), case.zone, access=access)
    statement = found.statement
    tally.statements += 1
    tally.matched += bool(statement.rollups)
    kinds = {
        item.item.type for item in case.built if f"sales.{item.item.name}" in statement.rollups
    }
    tally.kept += "original_sql" in kinds
    texts = (statement.sql, *(fetch.sql for fetch in statement.fetches))
    tally.with_source += bool(statement.rollups) and any(
        ":source" in text or '"rest"' in text for text in texts
    )
    tally.governed += bool(statement.rollups) and statement.governed
    plan = "\n".join(statement.steps.lines())
    reads_masked = _reads_masked(case, "\n".join(expected.statement.steps.lines()))
    tally.masked += reads_masked
    tally.masked_matched += reads_masked and ":derived" in plan
    shown = f"{warehouse.dialect} {case.zone} {case.group}\n{case.sql}\n{plan}\n{statement.sql}"
    assert found.rows == expected.rows, shown


def _reads_masked(case: Case, plan: str) -> bool:
    """Whether a plan over the source has a column of a member that some policy masks."""
    if case.group == "masked":
        return bool(re.search(r"[\[ ]kind=", plan))
    policies = () if case.rights is None else case.rights.policies
    hidden = [item.member_masking.includes or () for item in policies if item.member_masking]
    return any(re.search(rf"[\[ ]{name}(:row)?=", plan) for names in hidden for name in names)
