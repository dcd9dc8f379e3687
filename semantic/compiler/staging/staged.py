"""A plan as fetches and a statement of the stage."""

from __future__ import annotations

from dataclasses import dataclass

from sqlglot import exp

from semantic.compiler.api import Analysis, Fetch
from semantic.compiler.emit import emit
from semantic.compiler.emit_parts import Emitted
from semantic.compiler.expressions.configured import configured_function
from semantic.compiler.kept_types import stored_as
from semantic.compiler.plan import Join, Query, Scan, Select, walk
from semantic.compiler.plan_types import PlanTypes
from semantic.compiler.rewrite.tools import expressions_of
from semantic.compiler.rollups.elsewhere import moves
from semantic.compiler.staging.closure import data_sources
from semantic.compiler.staging.partial import add_up_early
from semantic.compiler.staging.readings import read_measures
from semantic.compiler.staging.splitting import Splitter
from semantic.compiler.staging.warehouses import STAGE, Warehouses
from semantic.errors import SemanticError, UnsupportedError
from semantic.model.types import PostgresType


@dataclass(frozen=True, slots=True)
class Staged:
    """What is fetched, and the statement over it."""

    emitted: Emitted
    fetches: tuple[Fetch, ...]

    @property
    def cubes(self) -> tuple[str, ...]:
        """The cubes whose tables are read."""
        return self.emitted.cubes


def stage(
    plan: Query,
    warehouses: Warehouses,
    returned: Analysis,
    arrays: tuple[PostgresType, ...],
    reason: str,
) -> Staged:
    """Split a plan and write out its parts.

    Args:
        plan: of the whole statement, in no dialect yet but for what the model says in its own.
        warehouses: what emits the parts.
        returned: parameters, and the columns that the client was told.
        arrays: types of the parameters behind the client's.
        reason: why no warehouse does it alone.

    Raises:
        UnsupportedError: something only a warehouse could do, and none does it.
    """
    plan = read_measures(plan, PlanTypes(plan, returned), warehouses)
    if len(data_sources(plan)) > 1:
        plan = add_up_early(plan, PlanTypes(plan, returned))
    splitter = Splitter(plan, PlanTypes(plan, returned), warehouses, reason)
    rest = splitter.split()
    _check(rest)
    check_portable(rest)
    settings, values = warehouses.settings, warehouses.values
    emitted = emit(rest, returned, STAGE, settings, arrays, values)
    fetches: list[Fetch] = []
    cubes = dict.fromkeys(emitted.cubes)
    for draft in splitter.drafts:
        fetched = warehouses.fetched(draft.query, draft.data_source)
        cubes.update(dict.fromkeys(fetched.emitted.cubes))
        fetches.append(
            Fetch(
                draft.rows.table,
                draft.data_source,
                fetched.emitted.sql,
                fetched.emitted.parameters,
                fetched.columns,
                tuple(stored_as(column.type) for column in fetched.columns),
                draft.kind,
                draft.reason,
            )
        )
    return Staged(Emitted(emitted.sql, emitted.parameters, tuple(cubes)), tuple(fetches))


def check_portable(plan: Query, dialect: str = "") -> None:
    """Nothing that DuckDB is to compute may be in the SQL of another warehouse.

    Raises:
        SemanticError: XX000.
    """
    if dialect == STAGE:
        return
    for node in walk(plan):
        measures = node.measures if isinstance(node, Select) else ()
        is_foreign = isinstance(node, Join) and not moves(node.model_condition)
        if is_foreign or not all(use.portable for use in measures):
            raise SemanticError("XX000", "SQL of a warehouse was left for the stage")


def _check(rest: Query) -> None:
    """Nothing that is left for the stage may be a matter of a warehouse."""
    for node in walk(rest):
        if isinstance(node, Scan):
            raise SemanticError("XX000", f"the rows of {node.relation} were not fetched")
        for tree in expressions_of(node):
            for item in tree.find_all(exp.Anonymous):
                function = configured_function(item)
                if function is not None:
                    raise UnsupportedError(
                        f"function {function.name} is the data source's own, which does not "
                        "compute this part of the statement",
                        hint="Call it in a subquery over the cubes of one data source.",
                    )
