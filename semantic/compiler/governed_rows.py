"""The rows of cubes that a caller may see: the only place where a cube becomes a table.

A governed cube's table is an innermost query that yields the permitted rows and nothing else, with
the joins that row rules need inside it, behind a fence.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import MappingProxyType

from sqlglot import exp

from semantic.compiler.api import BoundValue
from semantic.compiler.cube_tables import CubeTable, CubeTables
from semantic.compiler.emit_parts import add_scan_joins, aliased, aliased_table
from semantic.compiler.fences import RULED, fenced
from semantic.compiler.grants import rows_of, unmasked_rows
from semantic.compiler.masks import flag_name, flagged_member
from semantic.compiler.model_sql import ModelSql
from semantic.compiler.names import Names
from semantic.compiler.plan import BOUND, ScanJoin
from semantic.compiler.restriction import restricted_table
from semantic.compiler.row_rules import row_rule
from semantic.compiler.scan_joins import Path, ScanJoins
from semantic.compiler.trees import identifier, rebuild
from semantic.errors import DeniedError, SemanticError, UnsupportedError
from semantic.model.members import Segment
from semantic.model.model import MemberTarget
from semantic.model.relations import Cube, View, ViewMember
from semantic.model.template import Reference, SecurityContextReference
from semantic.model.types import PostgresType
from semantic.security.access import Access, DefaultFilter, Grant, default_filters
from semantic.security.conditions import ALL_ROWS, RowCondition
from semantic.security.row_filters import MemberTypes, RowFilters

ATTRIBUTE = PostgresType("unknown")
"""The type that an attribute in the model's SQL is bound as: the warehouse works it out."""

MemberTree = Callable[[Reference], exp.Expr]
"""The tree of a member that a condition names."""

NOWHERE: Mapping[Path, tuple[Grant, ...] | None] = MappingProxyType({})
"""No path is ruled by fewer policies than those that apply."""

Policies = dict[str, None]
"""Names of the policies that rule a scan, which collects them while its tables are made."""


class GovernedRows:
    """Makes the tables of cubes for one caller.

    Attributes:
        sql: of the model, with nothing masked: rules are over what the rows hold.
        access: what the caller may see.
        values: those that placeholders in the tables stand for, by their names.
    """

    def __init__(
        self, tables: CubeTables, access: Access, types: MemberTypes, *, probing: bool = False
    ) -> None:
        self.sql: ModelSql = tables.sql
        self.access = access
        self.values: dict[str, BoundValue] = {}
        self._tables = tables
        self._types = types
        self._probing = probing
        self._open: dict[str, exp.Expr] = {}
        self._filters: dict[str, tuple[DefaultFilter, ...]] = {}
        self._within: list[str] = []

    # Tables

    def table(
        self,
        cube: Cube,
        policies: Policies,
        grants: tuple[Grant, ...] | None = None,
        flags: Iterable[str] = (),
    ) -> exp.Expr:
        """Where a cube's rows come from, without alias.

        Args:
            cube: whose rows.
            policies: where the names of the policies go that rule them.
            grants: those that contribute; None for all that apply to the caller.
            flags: members of which is asked in which rows they are not masked.

        Raises:
            SemanticError: a rule needs the rows that it rules (42P17).
            DeniedError: the model's SQL needs an attribute that the caller does not have.
        """
        governed = self.access.governing(cube)
        if governed is None:
            return self._base(cube, policies)
        policies.update(dict.fromkeys(grant.name for grant in governed.grants))
        if not governed.grants:
            policies[f"{cube.name}: {'; '.join(governed.reasons)}"] = None
        grants = governed.grants if grants is None else grants
        rows = rows_of(grants)
        shown = {name: unmasked_rows(grants, name) for name in flags}
        if rows == ALL_ROWS and not shown:
            return self._base(cube, policies)
        return self._governed(cube, rows, shown, policies)

    def _governed(
        self,
        cube: Cube,
        rows: RowCondition,
        shown: Mapping[str, RowCondition],
        policies: Policies,
    ) -> exp.Expr:
        joins = ScanJoins(self.sql, cube, RULED, Names(), _no_row_measure)
        with self._ruling(cube.name):

            def rule(condition: RowCondition) -> exp.Expr:
                return joins.place(self.rule(cube, condition, self._cube_member(cube)))

            where = None if rows == ALL_ROWS else rule(rows)
            columns = [exp.Column(this=exp.Star(), table=identifier(RULED))]
            flags = [aliased(rule(item), flag_name(name)) for name, item in shown.items()]
            table = self._base(cube, policies)
            select = exp.Select(
                expressions=[*columns, *flags],
                from_=exp.From(this=aliased_table(table, RULED)),
            )
            add_scan_joins(select, self.joined(joins, policies))
        if where is not None:
            select.set("where", exp.Where(this=where))
        return exp.Subquery(this=fenced(select))

    @contextmanager
    def _ruling(self, cube: str) -> Iterator[None]:
        if cube in self._within:
            raise SemanticError(
                "42P17",
                f'infinite recursion detected in policy for relation "{cube}"',
                hint="A row rule must not need the rows that it rules.",
            )
        self._within.append(cube)
        try:
            yield
        finally:
            self._within.pop()

    def joined(
        self,
        joins: ScanJoins,
        policies: Policies,
        grants: Mapping[Path, tuple[Grant, ...] | None] = NOWHERE,
    ) -> tuple[ScanJoin, ...]:
        """The joins of a scan with their tables.

        Args:
            joins: what is joined.
            policies: where the names of the policies go that rule the tables.
            grants: those that contribute to the table of a path, where not all do.
        """
        made = []
        for path, planned in joins.planned():
            join = planned.join
            if planned.target is not None:
                contributing = grants.get(path)
                flags = joins.flags.get(path, ())
                table = restricted_table(self, planned.target, policies, contributing, flags)
                join = replace(join, table=table)
            made.append(join)
        return tuple(made)

    def _base(self, cube: Cube, policies: Policies) -> exp.Expr:
        """A cube's table or query, where the cubes that it reads are governed."""
        found = self._open.get(cube.name)
        if found is not None:
            return found
        base = self._tables.of(cube)
        if not base.cubes and not base.context:
            self._open[cube.name] = base.tree
            return base.tree
        table = self._filled(cube, base, policies)
        if not base.context or self._probing:
            return table
        # The model's SQL keeps rows from callers, as a policy does.
        policies[f"{cube.name}.sql"] = None
        select = exp.Select(
            expressions=[exp.Column(this=exp.Star(), table=identifier(RULED))],
            from_=exp.From(this=aliased_table(table, RULED)),
        )
        return exp.Subquery(this=fenced(select))

    def _filled(self, cube: Cube, base: CubeTable, policies: Policies) -> exp.Expr:
        tables = {
            name: self.table(self.sql.model.cubes_by_name[other], policies)
            for name, other in base.cubes.items()
        }
        values = {
            name: self._attribute(cube, reference) for name, reference in base.context.items()
        }

        def fill(node: exp.Expr) -> exp.Expr | None:
            if isinstance(node, exp.Column) and not node.args.get("table"):
                return values.get(node.name)
            if isinstance(node, exp.Table) and node.name in tables:
                table = tables[node.name].copy()
                if alias := node.args.get("alias"):
                    table.set("alias", alias.copy())
                return table
            return None

        return rebuild(base.tree, fill)

    def _attribute(self, cube: Cube, reference: SecurityContextReference) -> exp.Expr:
        """An attribute of the caller in the model's SQL, bound; an array of values in a filter."""
        if self._probing:
            return exp.Null()
        value = self.access.attributes.get(reference.path)
        values = value if isinstance(value, tuple) else (value,)
        known = all(isinstance(item, str | int | float) for item in values) and bool(values)
        if not known and (reference.required or reference.column is None):
            raise DeniedError(
                f"permission denied for {cube.name}",
                hint=f"It needs the attribute {'.'.join(reference.path)}, which you do not have.",
            )
        if reference.column is not None:
            value = values if known else ()
        return self.bind(value, ATTRIBUTE)

    # Conditions

    def rule(self, root: Cube, condition: RowCondition, member: MemberTree) -> exp.Expr:
        """A condition as a tree over the paths from a cube."""
        return row_rule(condition, member, self.bind, self.sql.dialect(root.data_source))

    def _cube_member(self, cube: Cube) -> MemberTree:
        def member(reference: Reference) -> exp.Expr:
            target = self.sql.model.resolve(cube.name, reference)
            if not isinstance(target, MemberTarget):
                raise TypeError(str(reference))
            return self.sql.row_member(cube.name, target)

        return member

    def view_member(self, view: View) -> MemberTree:
        """The trees of a view's columns, as its rows hold them.

        The view may be the part of another one that has the rows of one of its roots.
        """

        def member(reference: Reference) -> exp.Expr:
            names = [name for name in reference.path if name not in ("CUBE", view.name)]
            found = view.columns.get(names[0])
            if isinstance(found, Segment):
                return self.sql.segment(view.name, found)
            if not isinstance(found, ViewMember) or found.root != view.root:
                raise UnsupportedError(
                    f"a filter of {view.name} over {reference}, which the rows of {view.root} do "
                    "not have, is not supported"
                )
            target = self.sql.model.view_target(found)
            granularity = names[1] if len(names) > 1 else None
            return self.sql.row_member(view.name, replace(target, granularity=granularity))

        return member

    def default_filters(self, view: View) -> tuple[DefaultFilter, ...]:
        """The default filters of a view."""
        if self._probing or not view.default_filters:
            return ()
        found = self.access.filters.get(view.name) or self._filters.get(view.name)
        if found is None:
            filters = RowFilters(self.sql.model, self._types, None)
            found = self._filters[view.name] = default_filters(filters, view)
        return found

    def bind(self, value: object, kind: PostgresType) -> exp.Expr:
        """The placeholder of a value that is bound."""
        name = BOUND + hashlib.sha256(repr((kind.name, value)).encode()).hexdigest()[:32]
        self.values.setdefault(name, BoundValue(kind, value))
        return exp.Parameter(this=identifier(name))


def _no_row_measure(path: Path) -> ScanJoin:
    raise UnsupportedError(
        "a row rule over a sub_query dimension, or over a member that is made of one, is not "
        "supported",
        hint="Write the rule over columns of the cube, or of cubes that it joins.",
    )


@dataclass(frozen=True, slots=True)
class Governed:
    """What makes the governed query of a cube's rows.

    Attributes:
        source: the table of the cube.
        rule: that a caller's rows of it meet, over ``RULED``; None: all do.
        flags: by their names, the columns that say in which rows masked members show their values.
    """

    source: exp.Expr
    rule: exp.Expr | None
    flags: Mapping[str, exp.Expr]


def read_governed(table: exp.Expr) -> Governed | None:
    """The parts of a governed query.

    None where it takes more than conditions on a row to say which are permitted: other tables.
    """
    select = table.this if isinstance(table, exp.Subquery) else None
    if not isinstance(select, exp.Select) or select.args.get("joins"):
        return None
    source, where = select.args.get("from_"), select.args.get("where")
    star, *columns = select.expressions
    if source is None or star != exp.Column(this=exp.Star(), table=identifier(RULED)):
        return None
    flags = {item.alias: item.this for item in columns if isinstance(item, exp.Alias)}
    if len(flags) < len(columns) or any(flagged_member(name) is None for name in flags):
        return None
    base = source.this.copy()
    if base.alias != RULED or not (where or flags):
        return None
    base.set("alias", None)
    return Governed(base, None if where is None else where.this, flags)
