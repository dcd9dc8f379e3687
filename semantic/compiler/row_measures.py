"""Measures as values of a row, over the rows of joined cubes that belong to it.

A ``sub_query`` dimension is a measure aggregated by the primary key of the cube that declares it,
and so is the value for one row (M5) of a measure that is made of cubes joined to many rows. Both
are columns of a grouped subquery, which a scan joins by the primary key: in trees they are the
column ``value`` of a path whose last step names the dimension or the measure.
"""

from __future__ import annotations

from sqlglot import exp

from semantic.compiler.aggregate_trees import counts_duplicates, filtered, is_aggregate
from semantic.compiler.emit_parts import aliased, scan_select
from semantic.compiler.formulas import INPUT, at_inputs
from semantic.compiler.measures import MeasureDefinition, MeasureRows
from semantic.compiler.model_sql import VALUE
from semantic.compiler.plan import Scan
from semantic.compiler.trees import all_of, column, identifier, is_column_of, rebuild

_ROWS = "rows"


def key_name(number: int) -> str:
    """The subquery's column that holds a part of the primary key."""
    return f"key:{number + 1}"


def row_measure_query(
    scan: Scan,
    definition: MeasureDefinition,
    inputs: dict[str, str],
    keys: dict[tuple[str, ...], tuple[str, ...]],
    repeated: tuple[MeasureRows, ...],
) -> exp.Subquery:
    """One row for each primary key of a scan's root, with the measure's value.

    Args:
        scan: the joined rows.
        definition: of the measure.
        inputs: the scan's columns for the measure's inputs.
        keys: the scan's columns for the primary keys of cubes, by path; () is the root's.
        repeated: the parts of the measure whose rows the joins repeat for a row of the root.
    """
    rows = scan_select(scan)
    marks: dict[str, exp.Expr] = {}
    for number, part in enumerate(repeated):
        name = f"once:{number + 1}"
        rows.select(aliased(_mark(scan, keys[()], keys[part.path]), name), copy=False)
        marks.update(dict.fromkeys(part.inputs, column(_ROWS, name)))
    names = {name: column(_ROWS, made) for name, made in inputs.items()}

    def once(node: exp.Expr) -> exp.Expr | None:
        if not is_aggregate(node):
            return names[node.name] if is_column_of(node, INPUT) else None
        call = node.this if isinstance(node, exp.Filter) else node
        used = [item.name for item in node.find_all(exp.Column) if is_column_of(item, INPUT)]
        mark = next((marks[name] for name in used if name in marks), None)
        moved = at_inputs(node, names)
        return filtered(moved, mark) if mark is not None and counts_duplicates(call) else moved

    grouped = [column(_ROWS, name) for name in keys[()]]
    select = exp.Select(
        expressions=[
            *(aliased(key, key_name(number)) for number, key in enumerate(grouped)),
            aliased(rebuild(definition.formula, once), VALUE),
        ],
        from_=exp.From(this=exp.Subquery(this=rows, alias=exp.TableAlias(this=identifier(_ROWS)))),
        group=exp.Group(expressions=[column(_ROWS, name) for name in keys[()]]),
    )
    return exp.Subquery(this=select)


def _mark(scan: Scan, root: tuple[str, ...], key: tuple[str, ...]) -> exp.Expr:
    """Whether a row is the first of its root with that key."""
    trees = {item.name: item.expression for item in scan.columns}
    number = exp.Window(
        this=exp.RowNumber(),
        partition_by=[trees[name].copy() for name in dict.fromkeys((*root, *key))],
        over="OVER",
    )
    present: exp.Expr | None = None
    for name in key:
        part = exp.Not(this=exp.Is(this=trees[name].copy(), expression=exp.Null()))
        present = part if present is None else exp.Or(this=present, expression=part)
    first = exp.EQ(this=number, expression=exp.Literal.number(1))
    return all_of([first] if present is None else [first, present]) or first
