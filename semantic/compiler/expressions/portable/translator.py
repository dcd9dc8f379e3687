"""Translates expressions by a dialect's tables; what is not in them is refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from sqlglot import exp

from semantic.compiler.api import SessionSettings
from semantic.compiler.expressions.environment import TypeEnvironment
from semantic.compiler.expressions.inference import Types
from semantic.compiler.expressions.places import position
from semantic.compiler.expressions.portable import constants
from semantic.compiler.expressions.portable.build import sql
from semantic.compiler.expressions.portable.constants import numeric_spelling, written_number
from semantic.compiler.expressions.portable.tables import Tables
from semantic.compiler.expressions.portable.value import Value
from semantic.compiler.expressions.types import (
    INTEGERS,
    STRINGS,
    is_quotient,
    numeric_scale,
    sql_name,
)
from semantic.errors import SemanticError, UnsupportedError
from semantic.model.types import BOOL, NUMERIC, TEXT, PostgresType

NodeRule = Callable[["Translator", exp.Expr], Value]

INTEGER_DIGITS = {"int2": 5, "int4": 10, "int8": 19}
_WITHOUT_OFFSET = frozenset(("utc", "etc/utc", "gmt", "etc/gmt", "zulu", "uct", "universal"))


class Translator:
    """Translates the expressions of one statement's clause.

    Attributes:
        tables: of the dialect.
        types: PostgreSQL's types of the nodes.
        settings: the session's settings.
        utc: whether the session's time zone is UTC.
    """

    def __init__(
        self,
        tables: Tables,
        environment: TypeEnvironment,
        settings: SessionSettings,
        rules: Mapping[type[exp.Expr], NodeRule],
    ) -> None:
        self.tables = tables
        self.types = Types(environment)
        self.settings = settings
        self.utc = settings.time_zone.lower() in _WITHOUT_OFFSET
        self._rules = rules

    def value(self, node: exp.Expr) -> Value:
        """A node translated.

        Raises:
            UnsupportedError: the dialect's tables do not hold it.
        """
        rule = self._rules.get(type(node))
        try:
            if rule is None:
                raise self.unsupported(type(node).__name__.upper())
            return rule(self, node)
        except SemanticError as error:
            if error.position is None:
                error.position = position(node)
            raise

    def condition(self, node: exp.Expr) -> exp.Expr:
        """A node of type boolean where a condition stands, which is no value in some dialects."""
        if not self.tables.truth:
            return self.typed(node, BOOL).node
        if _is_search(node):
            return self.value(node).node
        return sql(self.tables.holds, self.typed(node, BOOL).node)

    def stored(self, node: exp.Expr) -> Value:
        """A node where a value stands."""
        value = self.value(node)
        if not self.tables.truth or not _is_search(node):
            return value
        return replace(value, node=sql(self.tables.truth, value.node))

    def typed(self, node: exp.Expr, target: PostgresType) -> Value:
        """A node in the type that an operator or function takes."""
        written = written_number(node)
        if written is not None and target.name not in STRINGS:
            # A number is read as one of the type that is wanted, not as its own and then cast.
            wanted = PostgresType(target.name)
            if wanted.name not in INTEGERS or "." not in written:
                return constants.constant(self.tables, written, wanted, utc=self.utc)
        return self.converted(self.stored(node), target)

    def settled(self, node: exp.Expr) -> Value:
        """A node where any type will do: a bare literal becomes text."""
        value = self.stored(node)
        return self.converted(value, TEXT) if value.type.name == "unknown" else value

    def converted(self, value: Value, target: PostgresType) -> Value:
        """A value in another type, where PostgreSQL casts without being asked, or was asked."""
        if value.raw is not None:
            return constants.constant(self.tables, value.raw, target, utc=self.utc)
        if value.is_untyped_null:
            return constants.null(self.tables, target)
        if target.name == "numeric":
            return self._as_numeric(value, target)
        source = value.type
        if source.name == target.name and target.modifier in (-1, source.modifier):
            return value
        if target.modifier != -1:
            raise self.unsupported(f"a cast to {sql_name(target)} with a length")
        if source.name == "varchar" and target.name == "text":
            return replace(value, type=TEXT)
        template = self.find(f"cast({source.name}, {target.name})")
        if template is None:
            raise self.unsupported(f"a cast from {sql_name(source)} to {sql_name(target)}")
        return Value(self.filled(template, [value.node]), PostgresType(target.name))

    def _as_numeric(self, value: Value, target: PostgresType) -> Value:
        size = numeric_scale(target)
        if value.type.name == "numeric":
            return value if size is None else self.widened(value, size, target)
        digits = INTEGER_DIGITS.get(value.type.name)
        template = self.tables.templates.get(f"cast({value.type.name}, numeric)")
        if digits is None or template is None:
            raise self.unsupported(f"a cast from {sql_name(value.type)} to numeric")
        precision, scale = size or (digits, 0)
        if precision - scale < digits:
            raise self.unsupported(f"a cast to numeric({precision},{scale})")
        spelled = numeric_spelling(self.tables, precision, scale)
        node = sql(template, value.node, spelled=spelled)
        return Value(node, target if size else NUMERIC, (precision, scale))

    def widened(
        self, value: Value, size: tuple[int, int], target: PostgresType | None = None
    ) -> Value:
        """A numeric with more digits on either side.

        Raises:
            UnsupportedError: it may have more than these, or they are not known.
        """
        precision, scale = size
        if value.size is None:
            raise self.unsupported("a numeric whose digits are not known")
        if value.size != size:
            if value.size[1] > scale or value.size[0] - value.size[1] > precision - scale:
                raise self.unsupported(f"a cast to numeric({precision},{scale})")
            template = self.tables.templates.get("cast(numeric, numeric)", "CAST(_1 AS _t)")
            spelled = numeric_spelling(self.tables, precision, scale)
            value = replace(value, node=sql(template, value.node, spelled=spelled))
        return Value(value.node, target or value.type, size)

    def find(self, key: str) -> str | None:
        """The template of a signature; where it is about moments, the one for the session's zone.

        Of templates with ``timestamptz`` those without ``zone`` hold in UTC only.
        """
        if "timestamptz" not in key or self.utc:
            return self.tables.templates.get(key)
        if any(key.startswith(name) for name in _WITHOUT_ZONE):
            return self.tables.templates.get(key)
        return self.tables.templates.get(f"{key[:-1]}, zone)")

    def filled(self, template: str, operands: list[exp.Expr]) -> exp.Expr:
        """A template with its operands and the session's time zone."""
        return sql(template, *operands, zone=self.settings.time_zone)

    def unsupported(self, what: str, hint: str | None = None) -> UnsupportedError:
        """The refusal of something that the tables do not hold."""
        return UnsupportedError(f"{what} is not supported on {self.tables.title}", hint=hint)


_SEARCHES = (
    *(exp.And, exp.Or, exp.Not, exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE),
    *(exp.NullSafeEQ, exp.NullSafeNEQ, exp.In, exp.Between, exp.Is),
    *(exp.Like, exp.ILike, exp.Escape, exp.Exists),
)
"""What becomes a condition, in every dialect."""


def _is_search(node: exp.Expr) -> bool:
    while isinstance(node, exp.Paren):
        node = node.this
    return isinstance(node, _SEARCHES)


# These mean the same moments whatever the clock shows.
_WITHOUT_ZONE = (
    *("=(", "<>(", "<(", "<=(", ">(", ">=("),
    *("count(", "min(", "max(", "+(timestamptz, microseconds"),
    "extract('epoch'",
)


def column(translator: Translator, node: exp.Expr) -> Value:
    """A column stays what it is."""
    return _read(translator, node)


def subquery(translator: Translator, node: exp.Expr) -> Value:
    """A placeholder that the emitter fills in."""
    if not translator.tables.features.single_row_subqueries:
        raise translator.unsupported("a subquery as a value")
    return _read(translator, node)


def _read(translator: Translator, node: exp.Expr) -> Value:
    kind = translator.types.of(node)
    if is_quotient(kind):
        raise translator.unsupported("a numeric whose decimals differ by row")
    # As in PostgreSQL, what nobody has given a type is a text.
    return Value(node.copy(), TEXT if kind.name == "unknown" else kind, numeric_scale(kind))


def parameter(translator: Translator, node: exp.Expr) -> Value:
    """A placeholder with its type."""
    kind = translator.types.of(node)
    template = translator.tables.parameters.get(kind.name)
    if template is None:
        raise translator.unsupported(f"a parameter of type {sql_name(kind)}")
    return Value(translator.filled(template, [node.copy()]), PostgresType(kind.name))


def literal(translator: Translator, node: exp.Expr) -> Value:
    """A number, or a string whose type its surroundings decide."""
    if node.args.get("is_string"):
        return Value(exp.Literal.string(node.this), PostgresType("unknown"), raw=node.this)
    kind = translator.types.of(node)
    written = written_number(node)
    assert written is not None
    return constants.constant(translator.tables, written, kind, utc=translator.utc)


def escaped_string(_translator: Translator, node: exp.Expr) -> Value:
    """E'...', its escapes already resolved by the parser."""
    return Value(exp.Literal.string(node.this), PostgresType("unknown"), raw=node.this)


def null(_translator: Translator, _node: exp.Expr) -> Value:
    """NULL, whose type its surroundings decide."""
    return constants.untyped_null()


def boolean(translator: Translator, node: exp.Expr) -> Value:
    """TRUE or FALSE."""
    return Value(constants.truth_value(translator.tables, bool(node.this)), BOOL)


def inner(translator: Translator, node: exp.Expr) -> Value:
    """Parentheses, which every tree has where it needs them."""
    return translator.value(node.this)


def cast(translator: Translator, node: exp.Expr) -> Value:
    """CAST and ``::``."""
    target = translator.types.of(node)
    if is_quotient(target):
        raise translator.unsupported("a numeric whose decimals differ by row")
    written = written_number(node.this)
    if written is not None and target.name != "text":
        return translator.converted(Value(exp.Null(), PostgresType("unknown"), raw=written), target)
    return translator.converted(translator.stored(node.this), target)


def collated(translator: Translator, node: exp.Expr) -> Value:
    """COLLATE, of which the tables know bytewise order alone."""
    name = node.expression.name
    if name not in ("C", "POSIX", "default", "ucs_basic"):
        raise translator.unsupported(f'the collation "{name}"')
    return translator.settled(node.this)
