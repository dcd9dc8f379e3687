"""Which syntax and which functions a query over cubes may use (rule G4).

By list, so that whatever is new or unknown is refused.
"""

from __future__ import annotations

import re

from sqlglot import exp

from semantic.compiler.expressions.configured import configured_function
from semantic.compiler.expressions.inference import KNOWN_NODES, forbidden, reaches_out
from semantic.compiler.expressions.places import position
from semantic.compiler.expressions.sets import FROM_SPLITS, SETS
from semantic.compiler.expressions.signatures.catalogue import FUNCTIONS, MARKERS
from semantic.compiler.expressions.syntax import QUANTIFIERS, call_of
from semantic.errors import ForbiddenError, SemanticError, UnsupportedError

# Parts of statements and of expressions that carry no meaning of their own.
_STRUCTURE = frozenset(
    (
        exp.Alias,
        exp.All,
        exp.Any,
        exp.CTE,
        exp.Cube,
        exp.DataType,
        exp.DataTypeParam,
        exp.Except,
        exp.Fetch,
        exp.From,
        exp.Group,
        exp.GroupingSets,
        exp.Having,
        exp.Identifier,
        exp.If,
        exp.Intersect,
        exp.JSONPath,
        exp.JSONPathKey,
        exp.JSONPathRoot,
        exp.JSONPathSubscript,
        exp.Join,
        exp.Kwarg,
        exp.Lateral,
        exp.Limit,
        exp.LimitOptions,
        exp.Mode,
        exp.Offset,
        exp.Ordered,
        exp.PercentileCont,
        exp.PercentileDisc,
        exp.Rollup,
        exp.Slice,
        exp.Star,
        exp.Table,
        exp.TableAlias,
        exp.Union,
        exp.Values,
        exp.Var,
        exp.Where,
        exp.WindowSpec,
        exp.With,
    )
)
_ONLY_IN_FROM = frozenset((exp.Unnest, exp.ExplodingGenerateSeries))
_PLACES_IN_FROM = (exp.From, exp.Join, exp.Table, exp.Lateral)
_SPECIAL_NAMES = MARKERS | QUANTIFIERS


def check_functions(tree: exp.Expr, dialect: str, sql: str = "") -> None:
    """Refuse every function, operator and construct that is not on the list.

    Args:
        tree: a statement or an expression.
        dialect: of the warehouse. What it cannot do exactly is refused at translation.
        sql: the text that the tree was made of, so that functions are called as they are there.

    Raises:
        SemanticError: 42501, with the position of the first offender.
    """
    del dialect
    for node in tree.walk():
        check_node(node, sql)


def check_node(node: exp.Expr, sql: str = "") -> None:
    """As ``check_functions``, for one node alone."""
    kind = type(node)
    if configured_function(node) is not None:
        return
    if kind in _ONLY_IN_FROM and isinstance(node.parent, _PLACES_IN_FROM):
        return
    if kind is exp.Anonymous and isinstance(node.parent, exp.Table | exp.Lateral):
        call = call_of(node)
        if call is not None and call.name not in FROM_SPLITS:
            raise forbidden(call)
        return
    if kind is exp.Anonymous or kind not in _PLAIN:
        call = call_of(node)
        if call is not None:
            if isinstance(node.this, exp.Identifier) or (
                call.name not in FUNCTIONS and call.name not in _SPECIAL_NAMES
            ):
                raise _set_refused(call.name, node) or forbidden(call)
        elif kind not in _ALLOWED:
            raise _denied(node, sql)
    elif kind is exp.Dot or (kind is exp.Table and isinstance(node.this, exp.Literal)):
        raise _denied(node, sql)


def _set_refused(name: str | None, node: exp.Expr) -> UnsupportedError | None:
    """The refusal of a set that does not stand in FROM; None for any other function."""
    if name not in SETS and name not in FROM_SPLITS:
        return None
    return UnsupportedError(
        f"{name} outside of FROM is not supported over a cube",
        hint=f"Write it in FROM: ... CROSS JOIN LATERAL {name}(...) AS t(x).",
        position=position(node),
    )


def _denied(node: exp.Expr, sql: str) -> SemanticError:
    name = _function_name(node, sql)
    refused = _set_refused(name, node)
    if refused is not None:
        return refused
    if isinstance(node, exp.HexString | exp.BitString):
        return UnsupportedError(
            "constants of bits are not supported over a cube",
            hint="Write a number, such as 0x1F or 0b101.",
            position=position(node),
        )
    sign = _OPERATORS.get(type(node))
    spelled = f"the construct {type(node).__name__}" if name is None else f"function {name}"
    if sign is not None:
        spelled = f"operator {sign}"
    place = position(node)
    if name is not None and sign is None and place is not None:
        # What the parser has made of some functions does not know where their names are.
        place = sql.lower().rfind(name, 0, place + len(name)) + 1 or place
    return ForbiddenError(
        f"permission denied for {spelled}",
        hint="It is not among what a query over cubes may use.",
        position=place,
        certain=name is not None and reaches_out(name),
    )


def _function_name(node: exp.Expr, sql: str) -> str | None:
    """A function's name as the client wrote it; None for what is no function."""
    if isinstance(node, exp.Dot):
        return node.sql("postgres")
    if not isinstance(node, exp.Func):
        return None
    meta = node._meta
    if meta and "start" in meta:
        written = sql[meta["start"] : meta["end"] + 1]
        if _NAME.fullmatch(written):
            return written.lower()
    return _OTHER_NAMES.get(type(node)) or node.sql_name().lower()


_OTHER_NAMES: dict[type[exp.Expr], str] = {
    exp.Explode: "unnest",
    exp.ExplodingGenerateSeries: "generate_series",
    exp.JSONArrayAgg: "json_agg",
    exp.JSONBObjectAgg: "jsonb_object_agg",
    exp.JSONObjectAgg: "json_object_agg",
    exp.JSONObject: "json_object",
}
# Operators that the parser takes for functions.
_OPERATORS: dict[type[exp.Expr], str] = {
    exp.JSONBContainsAllTopKeys: "?&",
    exp.JSONBContainsAnyTopKeys: "?|",
    exp.JSONBContainsTopKey: "?",
    exp.JSONBDeleteAtPath: "#-",
    exp.JSONBPathExists: "@?",
    exp.MatchAgainst: "@@",
}
_NAME = re.compile(r"[^\W\d]\w*")
_PLAIN = _STRUCTURE | {kind for kind in KNOWN_NODES if not issubclass(kind, exp.Func)}
_ALLOWED = _PLAIN | KNOWN_NODES | {exp.Agg}
