"""SELECTs whose column types are the types of the model's members (rule R4).

They are never run for rows: the warehouse is only asked to bind them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sqlglot import exp

from semantic.compiler.cube_tables import CubeTables
from semantic.compiler.dialect import dialect_of
from semantic.compiler.emit_parts import add_scan_tables, aliased
from semantic.compiler.formulas import at_inputs
from semantic.compiler.governed_rows import GovernedRows
from semantic.compiler.granularities import column_name
from semantic.compiler.measures import MeasureDefinition
from semantic.compiler.members import Members
from semantic.compiler.model_sql import ModelSql
from semantic.compiler.names import Names
from semantic.compiler.scan import ScanBuilder
from semantic.compiler.stage_types import without_stages
from semantic.compiler.trees import copied, rebuild, table_of
from semantic.errors import SemanticError
from semantic.model.members import CALCULATED_TYPES, Dimension, Measure
from semantic.model.model import Model
from semantic.model.relations import Cube, View
from semantic.model.types import UNKNOWN
from semantic.security.access import UNGOVERNED


@dataclass(frozen=True, slots=True)
class Probe:
    """What to ask a warehouse.

    Attributes:
        data_source: the warehouse.
        sql: columns are named as the members they stand for: a measure over rows by the values it
            aggregates, a calculated one by its result.
    """

    data_source: str
    sql: str


def probe_statements(model: Model, dialects: Mapping[str, str]) -> dict[str, Probe]:
    """The probes of all cubes, and of views with measures of their own, by relation name.

    Members that the compiler cannot serve yet are left out.
    """
    sql = ModelSql(model, dialects)
    members = Members(sql, {}, GovernedRows(CubeTables(sql), UNGOVERNED, {}, probing=True))
    probes: dict[str, Probe] = {}
    relations: list[Cube | View] = [*model.cubes, *model.views]
    for relation in relations:
        probe = _probe(members, relation)
        if probe is not None:
            probes[relation.name] = probe
    return probes


def _probe(members: Members, relation: Cube | View) -> Probe | None:
    data_source = members.sql.root_of(relation).data_source
    builder = ScanBuilder(members, relation, relation.name, Names())
    projections: list[exp.Expr] = []
    own = relation.members if isinstance(relation, Cube) else relation.columns
    for name, member in own.items():
        if isinstance(relation, View) and not isinstance(member, Measure):
            continue
        try:
            projections.append(aliased(_value(members, relation, builder, name, member), name))
        except SemanticError:
            continue
        if isinstance(relation, Cube) and isinstance(member, Dimension):
            projections += _periods(members, relation, builder, member)
    if not projections:
        return None
    select = exp.Select(expressions=projections)
    try:
        add_scan_tables(select, builder.make())
    except SemanticError:
        # The rows themselves cannot be had; a query of them says why.
        return None
    return Probe(
        data_source, dialect_of(members.sql.dialect(data_source)).generate(select, copy=False)
    )


def _periods(
    members: Members, cube: Cube, builder: ScanBuilder, dimension: Dimension
) -> Iterator[exp.Expr]:
    """The custom granularities that are defined by sql; the others have their dimension's type."""
    for item in dimension.granularities:
        if item.sql is None:
            continue
        try:
            tree = builder.place(members.period_value(cube, dimension.name, item.name))
        except SemanticError:
            continue
        yield aliased(tree, column_name(dimension.name, item.name))


def _value(
    members: Members, relation: Cube | View, builder: ScanBuilder, name: str, member: object
) -> exp.Expr:
    if not isinstance(member, Measure):
        return builder.place(members.row_value(relation, name))
    if member.type not in CALCULATED_TYPES:
        if member.sql is None:
            return exp.Literal.number(1)
        return builder.place(members.sql.condition(relation.name, member.sql))
    return _aggregated(members, relation, members.measure(relation, name))


def _aggregated(members: Members, relation: Cube | View, definition: MeasureDefinition) -> exp.Expr:
    """A calculated measure as a scalar subquery over the relation's rows."""
    builder = ScanBuilder(members, relation, relation.name, Names())
    formula = at_inputs(definition.formula, builder.inputs(definition, UNKNOWN))
    scan = builder.make()
    columns = {item.name: item.expression for item in scan.columns}

    def inline(node: exp.Expr) -> exp.Expr | None:
        if isinstance(node, exp.Column) and table_of(node) == scan.alias and node.name in columns:
            return copied(columns[node.name])
        return None

    def rows(expressions: list[exp.Expr]) -> exp.Select:
        select = exp.Select(expressions=[rebuild(node, inline) for node in expressions])
        add_scan_tables(select, scan)
        return select

    return exp.Subquery(this=rows([without_stages(formula, rows)]))
