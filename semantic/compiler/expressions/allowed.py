"""Which syntax and which functions a query over cubes may use (rule G4).

By list, so that whatever is new or unknown is refused.
"""

from __future__ import annotations

from sqlglot import exp

from semantic.compiler.expressions.inference import KNOWN_NODES, forbidden
from semantic.compiler.expressions.places import position
from semantic.compiler.expressions.signatures.catalogue import FUNCTIONS, MARKERS
from semantic.compiler.expressions.syntax import QUANTIFIERS, call_of
from semantic.errors import SemanticError

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
        exp.Join,
        exp.Lateral,
        exp.Limit,
        exp.LimitOptions,
        exp.Mode,
        exp.Offset,
        exp.Ordered,
        exp.PercentileCont,
        exp.PercentileDisc,
        exp.Rollup,
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


def check_functions(tree: exp.Expr, dialect: str) -> None:
    """Refuse every function, operator and construct that is not on the list.

    Args:
        tree: a statement or an expression.
        dialect: of the warehouse. What it cannot do exactly is refused at translation.

    Raises:
        SemanticError: 42501, with the position of the first offender.
    """
    del dialect
    for node in tree.walk():
        check_node(node)


def check_node(node: exp.Expr) -> None:
    """As ``check_functions``, for one node alone."""
    kind = type(node)
    if kind in _ONLY_IN_FROM and isinstance(node.parent, _PLACES_IN_FROM):
        return
    if kind is exp.Anonymous and isinstance(node.parent, exp.Table | exp.Lateral):
        # Which functions may stand there is known where FROM is bound.
        return
    if kind is exp.Anonymous or kind not in _PLAIN:
        call = call_of(node)
        if call is not None:
            if isinstance(node.this, exp.Identifier) or (
                call.name not in FUNCTIONS and call.name not in _SPECIAL_NAMES
            ):
                raise forbidden(call)
        elif kind not in _ALLOWED:
            raise _denied(node)
    elif kind is exp.Dot or (kind is exp.Table and isinstance(node.this, exp.Literal)):
        raise _denied(node)


def _denied(node: exp.Expr) -> SemanticError:
    return SemanticError(
        "42501",
        f"permission denied for {_spelled(node)}",
        hint="It is not among what a query over cubes may use.",
        position=position(node),
    )


def _spelled(node: exp.Expr) -> str:
    if isinstance(node, exp.Func):
        return f"function {node.sql_name().lower()}"
    if isinstance(node, exp.Dot):
        return f"function {node.sql('postgres')}"
    return type(node).__name__


_PLAIN = _STRUCTURE | {kind for kind in KNOWN_NODES if not issubclass(kind, exp.Func)}
_ALLOWED = _PLAIN | KNOWN_NODES | {exp.Agg}
