"""What is known of one bound SELECT, for those who bind it and those who build its plan."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from sqlglot import exp

from semantic.compiler.cube_source import CubeSource
from semantic.compiler.name_scope import Scope
from semantic.compiler.names import Names, name_of
from semantic.compiler.positions import position_of
from semantic.compiler.resolve import Resolver
from semantic.compiler.scope import VisibleColumn
from semantic.compiler.sources import FromClause
from semantic.compiler.statement import Statement, refuse_other_arguments, unsupported
from semantic.errors import SemanticError

_BIGINT_END = Decimal(2**63)
GROUP_SETS = (exp.GroupingSets, exp.Rollup, exp.Cube)


@dataclass(slots=True)
class Item:
    """An output column: an expression of the client's text, or a column that ``*`` stands for.

    Attributes:
        star: the node of ``*``, or of the whole row that it is or that it is a column of.
        row: the cube or view whose whole row it is.
    """

    name: str
    node: exp.Expr | None = None
    visible: VisibleColumn | None = None
    star: exp.Expr | None = None
    row: CubeSource | None = None


@dataclass(eq=False, slots=True)
class SelectState:
    """A SELECT's clauses with their names resolved.

    Attributes:
        items: the output columns, ``*`` expanded; behind them the columns of whole rows.
        rows: the places in ``items`` of a whole row's columns, by its own place.
        groups: elements of GROUP BY; None where the SELECT does not group.
        order: sort keys as written.
        set_keys: the keys of grouping sets, with the output column that each is.
        named_keys: output columns that are keys of grouping sets and need a column of their own in
            FROM, by identity: constants, and what another key is too.
        demanded: names in the plan of the output columns in demand, by place in ``items``.
        hidden: names of further outputs, inputs of measures that are handed up, by plan column.
    """

    statement: Statement
    node: exp.Select
    scope: Scope
    from_clause: FromClause
    resolver: Resolver
    items: list[Item] = field(default_factory=list)
    rows: dict[int, range] = field(default_factory=dict)
    where: exp.Expr | None = None
    groups: list[exp.Expr] | None = None
    having: exp.Expr | None = None
    order: list[exp.Ordered] = field(default_factory=list)
    distinct: bool = False
    distinct_on: list[exp.Expr] = field(default_factory=list)
    limit: exp.Expr | None = None
    offset: exp.Expr | None = None
    with_ties: bool = False
    set_keys: dict[exp.Expr, Item | None] = field(default_factory=dict)
    named_keys: dict[int, Item] = field(default_factory=dict)
    demanded: dict[int, str] = field(default_factory=dict)
    hidden: dict[tuple[str, str], str] = field(default_factory=dict)
    output_names: Names = field(default_factory=Names)

    def output_of(self, node: exp.Expr, *, columns_first: bool) -> Item | None:
        """The output column that a sort or grouping key names, by position or by name."""
        if isinstance(node, exp.Literal) and not node.is_string:
            position = int(node.this) if str(node.this).isdigit() else 0
            if 1 <= position <= len(self.items):
                return self.items[position - 1]
            self.statement.defer(
                SemanticError(
                    "42P10",
                    f"position {node.this} is not in select list",
                    position=position_of(node),
                )
            )
            return None
        if not isinstance(node, exp.Column) or node.args.get("table") is not None:
            return None
        if not isinstance(node.this, exp.Identifier):
            return None
        if columns_first and self.resolver.find(node, local=True) is not None:
            return None
        name = name_of(node.this)
        return next((item for item in self.items if item.name == name), None)


def limits_of(node: exp.Expr) -> tuple[exp.Expr | None, exp.Expr | None, bool]:
    """LIMIT (or FETCH), OFFSET, and whether ties are included."""
    limit = node.args.get("limit")
    offset = node.args.get("offset")
    with_ties = False
    count: exp.Expr | None = None
    if isinstance(limit, exp.Fetch):
        options = limit.args.get("limit_options")
        with_ties = bool(options is not None and options.args.get("with_ties"))
        if options is not None and options.args.get("percent"):
            raise unsupported("FETCH ... PERCENT", node)
        count = limit.args.get("count") or exp.Literal.number(1)
    elif isinstance(limit, exp.Limit):
        refuse_other_arguments(limit, frozenset({"expression"}), "LIMIT")
        count = limit.expression
        if isinstance(count, exp.Null) or (
            isinstance(count, exp.Var) and count.name.upper() == "ALL"
        ):
            count = None
    start = offset.expression if isinstance(offset, exp.Offset) else None
    for number in (count, start):
        if isinstance(number, exp.Literal) and not number.is_string:
            _check_bigint(number)
    return count, None if isinstance(start, exp.Null) else start, with_ties


def _check_bigint(number: exp.Literal) -> None:
    # A half is rounded up.
    if Decimal(number.this) >= _BIGINT_END - Decimal("0.5"):
        raise SemanticError("22003", "bigint out of range", position=position_of(number))
