"""Trees of the model compared apart from where they are used, and what may be stored of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from sqlglot import exp

from semantic.compiler.dialect import within_moment
from semantic.compiler.fences import RULED
from semantic.compiler.governed_rows import read_governed
from semantic.compiler.plan import Scan
from semantic.compiler.rewrite.tools import is_volatile
from semantic.compiler.trees import identifier, rebuild, table_of
from semantic.model.types import PostgresType

# What depends on when or by whom a statement is run.
_MOMENTARY = (
    exp.CurrentDate,
    exp.CurrentDatetime,
    exp.CurrentTime,
    exp.CurrentTimestamp,
    exp.CurrentUser,
    exp.Localtime,
    exp.Localtimestamp,
    exp.Parameter,
    exp.Placeholder,
    exp.SessionUser,
)
_MOMENTARY_NAMES = frozenset(
    {"age", "current_setting", "get_current_time", "get_current_timestamp", "getvariable", "now",
     "pg_backend_pid", "statement_timestamp", "today", "transaction_timestamp"}
)  # fmt: skip

# What means the same in every time zone, whatever types of columns it is over.
_ZONE_FREE = (
    exp.Abs, exp.Add, exp.And, exp.Boolean, exp.Case, exp.Coalesce, exp.Column, exp.Concat, exp.Div,
    exp.DPipe, exp.EQ, exp.GT, exp.GTE, exp.Identifier, exp.If, exp.In, exp.Is, exp.LT, exp.LTE,
    exp.Length, exp.Like, exp.Literal, exp.Lower, exp.Mul, exp.NEQ, exp.Neg, exp.Not, exp.Null,
    exp.Nullif, exp.Or, exp.Paren, exp.Sub, exp.Trim, exp.Upper,
)  # fmt: skip
# Those that sketches are made with.
_ZONE_FREE_CALLS = frozenset(
    {"ceil", "hash_record_extended", "hll_hash_bigint", "isinf", "isnan", "ln", "row", "sign"}
)
_NUMBERS = frozenset({"INT", "BIGINT", "SMALLINT", "DECIMAL", "DOUBLE", "FLOAT", "BOOLEAN"})
_DATE_LIKE = re.compile(r"\s*\d{1,4}[-/.:]\d|\s*(now|today|yesterday|tomorrow)", re.IGNORECASE)


def scan_names(scan: Scan) -> dict[str, str]:
    """What a scan's tables are called apart from it, by alias: the root is the empty name."""
    return {scan.base: "", **{join.alias: join.name for join in scan.joins}}


def named(tree: exp.Expr, names: dict[str, str]) -> exp.Expr:
    """A tree over a scan's tables with their names in place of their aliases."""

    def replace(node: exp.Expr) -> exp.Expr | None:
        if isinstance(node, exp.Column) and table_of(node) in names:
            return exp.Column(this=node.this, table=identifier(names[table_of(node)]))
        return None

    return rebuild(tree, replace)


def bare(tree: exp.Expr) -> exp.Expr:
    """A tree without parentheses around it."""
    while isinstance(tree, exp.Paren):
        tree = tree.this
    return tree


def is_lasting(tree: exp.Expr) -> bool:
    """Whether a value can be kept: it depends on the row alone, not on when it is computed."""
    if is_volatile(tree) or tree.find(*_MOMENTARY) is not None:
        return False
    calls = (item.name.lower() for item in tree.find_all(exp.Anonymous))
    return _MOMENTARY_NAMES.isdisjoint(calls)


def is_zone_free(tree: exp.Expr, kind: PostgresType | None = None) -> bool:
    """Whether it is certain that a session's time zone does not change a value.

    The types of the model's columns are not known here, so what might convert a moment does, but
    for what makes one of a local time.

    Args:
        tree: the value.
        kind: its type, where that is known.
    """
    tree = bare(tree)
    if kind is not None and kind.name == "timestamptz":
        inner = within_moment(tree)
        if isinstance(inner, exp.AtTimeZone) and isinstance(inner.args["zone"], exp.Literal):
            inner = inner.this
        tree = inner
    return all(_is_zone_free(node) for node in tree.walk())


def _is_zone_free(node: exp.Expr) -> bool:
    if isinstance(node, exp.DataType):
        return node.this.name in _NUMBERS
    if isinstance(node, exp.Cast | exp.DataTypeParam):
        return True
    if isinstance(node, exp.Literal):
        return not (node.is_string and _DATE_LIKE.match(node.name))
    if isinstance(node, exp.EQ | exp.NEQ | exp.GT | exp.GTE | exp.LT | exp.LTE):
        return isinstance(bare(node.this), exp.Literal) or isinstance(
            bare(node.expression), exp.Literal
        )
    if isinstance(node, exp.Anonymous):
        return node.name.lower().rpartition(".")[2] in _ZONE_FREE_CALLS
    return type(node) in _ZONE_FREE


@dataclass(frozen=True, slots=True)
class NamedJoin:
    """A join of a scan apart from its aliases."""

    table: exp.Expr
    condition: exp.Expr
    kind: str
    structural: bool


@dataclass(frozen=True, slots=True)
class Frame:
    """What rows a scan has, apart from its columns and aliases.

    Attributes:
        table: of the cube.
        joins: by name.
        filters: conditions on the rows, those of access policies on rows of the cube among them.
    """

    table: exp.Expr
    joins: dict[str, NamedJoin]
    filters: frozenset[exp.Expr]

    @property
    def structural(self) -> frozenset[str]:
        """Names of the joins that have a say in which rows there are."""
        return frozenset(name for name, join in self.joins.items() if join.structural)

    def has_rows_of(self, other: Frame) -> bool:
        """Whether it has all rows of the other, and joins of the same name are the same."""
        if self.table != other.table or self.structural != other.structural:
            return False
        if not self.filters <= other.filters:
            return False
        shared = self.joins.keys() & other.joins.keys()
        return all(self.joins[name] == other.joins[name] for name in shared)


def frame_of(scan: Scan) -> Frame:
    """A scan apart from its columns."""
    names = scan_names(scan)
    joins = {
        join.name: NamedJoin(join.table, named(join.condition, names), join.kind, join.structural)
        for join in scan.joins
    }
    filters = [named(item, names) for item in scan.filters]
    table, governed = scan.table, read_governed(scan.table)
    if governed is not None:
        table = governed.source
        filters += [] if governed.rule is None else [named(governed.rule, {RULED: ""})]
    return Frame(table, joins, frozenset(filters))


def columns_of(tree: exp.Expr, table: str) -> Iterator[exp.Column]:
    """The columns of one relation that a tree speaks of."""
    return (item for item in tree.find_all(exp.Column) if table_of(item) == table)
