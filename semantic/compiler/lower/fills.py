"""Groups without rows: those of a spine, a dimension whose values are all there (``fill``).

The groups of the query are united with every value of the spine, beside each combination of the
other keys. A condition on the spine's dimension holds for the spine too; others are about rows.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlglot import exp

from semantic.compiler.lower.contexts import RowColumns
from semantic.compiler.lower.copies import Copy, PlanNames
from semantic.compiler.lower.grouped import MainPart
from semantic.compiler.plan import (
    CteReference,
    Derived,
    Join,
    Projection,
    Query,
    Scan,
    Select,
    SetOperation,
    walk,
)
from semantic.compiler.stages import Fill, children_of, spec_of
from semantic.compiler.trees import all_of, column, conjuncts, rebuild, table_of
from semantic.errors import UnsupportedError


@dataclass(frozen=True, slots=True)
class Spine:
    """The spine of a query.

    Attributes:
        scan: of all its values.
        value: the name of its column.
        columns: names of the query's columns that hold a row's value of it.
        places: of the keys that are made of it.
    """

    scan: Scan
    value: str
    columns: frozenset[str]
    places: tuple[int, ...]


def find_spine(select: Select, main: MainPart, columns: RowColumns) -> Spine | None:
    """The spine that a query groups by; None if it groups by none."""
    found: list[Spine] = []
    for use in select.measures:
        for node in use.formula.walk():
            spec = spec_of(node)
            if not isinstance(spec, Fill) or not isinstance(spec.scan, Scan):
                continue
            names = _equal_columns(columns, children_of(node)[1])
            places = tuple(
                place
                for place, key in enumerate(main.keys)
                if (used := columns.used(key)) and used <= names
            )
            _refuse_other_way(spec, main, columns)
            spine = Spine(spec.scan, spec.column, names, places)
            if places and not any(spine.columns == other.columns for other in found):
                found.append(spine)
    if not found:
        return None
    if len(found) > 1 or main.sets is not None:
        what = "several spines" if len(found) > 1 else "ROLLUP, CUBE or GROUPING SETS"
        raise UnsupportedError(
            f"a filled measure beside {what} is not supported",
            hint="Use plain GROUP BY and the measures of one spine.",
        )
    return found[0]


def _refuse_other_way(spec: Fill, main: MainPart, columns: RowColumns) -> None:
    """The spine's cube, joined by the client, has the values too, but they are other columns."""
    bases = {
        node.base
        for node in walk(columns.relation)
        if isinstance(node, Scan) and node.relation == spec.cube
    }
    for key in main.keys:
        for name in columns.used(key):
            tables = {table_of(item) for item in columns.trees[name].find_all(exp.Column)}
            if tables & bases:
                raise UnsupportedError(
                    f"a filled measure grouped by a column of {spec.cube} as it is joined here is "
                    "not supported",
                    hint="Group by the measure's own dimension of it, without the join.",
                )


def filled_groups(spine: Spine, main: MainPart, cte: str, names: PlanNames) -> Query:
    """The query's groups and those of the spine, each once.

    Args:
        spine: the spine.
        main: the groups that have rows.
        cte: its key.
        names: for new aliases.
    """
    known = names.alias("groups")
    keys = tuple(Projection(name, column(known, name)) for name in main.key_names)
    with_rows = Select(projections=keys, source=CteReference(known, cte))
    alias = names.alias("spine")
    others = [place for place in range(len(main.keys)) if place not in spine.places]
    source: Derived | Join = Derived(alias, _values(spine, main, names))
    combined = names.alias("others")
    if others:
        inner = names.alias("groups")
        rest = Select(
            projections=tuple(
                Projection(main.key_names[place], column(inner, main.key_names[place]))
                for place in others
            ),
            source=CteReference(inner, cte),
            distinct=True,
        )
        source = Join(source, Derived(combined, rest), "CROSS", None)
    every = Select(
        projections=tuple(
            Projection(name, column(alias if place in spine.places else combined, name))
            for place, name in enumerate(main.key_names)
        ),
        source=source,
    )
    return SetOperation("union", False, with_rows, every, main.key_names)


def _values(spine: Spine, main: MainPart, names: PlanNames) -> Query:
    """The keys that the spine has."""
    copy = Copy(names, spine.scan, ())
    value = column(copy.alias(spine.scan.alias), spine.value)

    def moved(node: exp.Expr) -> exp.Expr:
        return rebuild(
            node,
            lambda item: (
                value if isinstance(item, exp.Column) and item.name in spine.columns else None
            ),
        )

    conditions = []
    for node in conjuncts(main.select.where):
        used = _names(node)
        if used and not used & spine.columns:
            continue
        if used - spine.columns:
            raise UnsupportedError(
                "a condition on the spine of a filled measure and other columns together is not "
                "supported",
                hint="Connect the conditions by AND.",
            )
        conditions.append(moved(node))
    keys = tuple(moved(main.keys[place]) for place in spine.places)
    projections = tuple(
        Projection(main.key_names[place], key)
        for place, key in zip(spine.places, keys, strict=True)
    )
    return Select(
        projections=projections,
        source=copy.relation,
        where=all_of([*conditions, exp.Not(this=exp.Is(this=value, expression=exp.Null()))]),
        group=keys,
    )


def _names(node: exp.Expr) -> frozenset[str]:
    return frozenset(item.name for item in node.find_all(exp.Column))


def _equal_columns(columns: RowColumns, node: exp.Expr) -> frozenset[str]:
    """The columns that hold the same value, but for its type."""
    trees = {name: _bare(tree) for name, tree in columns.trees.items()}
    return frozenset(name for name, tree in trees.items() if tree == trees[node.name])


def _bare(node: exp.Expr) -> exp.Expr:
    while isinstance(node, exp.Paren | exp.Cast):
        node = node.this
    return node
