"""Functions in FROM: generate_series and unnest, with or without ordinality."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlglot import exp

from semantic.compiler.expressions import FROM_FUNCTIONS, FROM_SPLITS
from semantic.compiler.name_scope import Scope
from semantic.compiler.names import Names, fold
from semantic.compiler.plain_build import PlainBuilder
from semantic.compiler.plan import FunctionTable, Relation
from semantic.compiler.positions import position_of
from semantic.compiler.resolve import ROWS, BindSubquery, Resolver
from semantic.compiler.scope import Source, VisibleColumn
from semantic.compiler.statement import Statement, unsupported
from semantic.compiler.trees import column
from semantic.errors import ForbiddenError


class FunctionCall:
    """A call in FROM, told apart from the parser's several classes for it.

    Attributes:
        name: of the function that the plan knows.
        label: how PostgreSQL calls its column where no alias does.
        ordinality: whether WITH ORDINALITY follows.
    """

    def __init__(self, node: exp.Expr, ordinality: object) -> None:
        self.ordinality = bool(ordinality)
        self.arguments: list[exp.Expr]
        if isinstance(node, exp.Unnest):
            self.name = self.label = "unnest"
            self.arguments = list(node.expressions)
            self.ordinality = self.ordinality or bool(node.args.get("offset"))
        elif isinstance(node, exp.ExplodingGenerateSeries | exp.GenerateSeries):
            self.name = self.label = "generate_series"
            keys = ("start", "end", "step")
            self.arguments = [node.args[key] for key in keys if node.args.get(key) is not None]
        elif isinstance(node, exp.Anonymous):
            self.name = self.label = fold(node.name)
            self.arguments = list(node.expressions)
            array = FROM_SPLITS.get(self.name)
            if array is not None:
                self.name = "unnest"
                self.arguments = [exp.Anonymous(this=array, expressions=self.arguments)]
        else:
            self.name = self.label = (
                node.sql_name().lower() if isinstance(node, exp.Func) else "this"
            )
            self.arguments = []
        if self.name not in FROM_FUNCTIONS:
            raise ForbiddenError(
                f"permission denied for function {self.name}",
                hint="It is not among the functions that a query over cubes may call in FROM.",
                position=position_of(node),
                certain=True,
            )


class FunctionSource(Source):
    """The rows of a function, which sees what stands before it in FROM."""

    def __init__(
        self,
        statement: Statement,
        call: FunctionCall,
        alias: tuple[str, Sequence[str]],
        scope: Scope,
        bind: BindSubquery,
    ) -> None:
        name, given = alias
        super().__init__(name or call.label, statement.names.take(name or call.label))
        self._call = call
        self._resolver = Resolver(statement, Scope(scope), bind)
        for argument in call.arguments:
            self._resolver.resolve(argument, ROWS)
        self._builder = PlainBuilder(statement, self._resolver)
        count = len(call.arguments) if call.name == "unnest" else 1
        names = [(name if count == 1 else "") or call.label] * count
        if call.ordinality:
            names.append("ordinality")
        names[: len(given)] = given
        taken = Names()
        self._names = tuple(taken.take(item) for item in names)
        self._columns = [VisibleColumn(item, self, index) for index, item in enumerate(names)]

    @property
    def columns(self) -> list[VisibleColumn]:
        """See ``Source.columns``."""
        return self._columns

    def find(self, name: str, *, quoted: bool) -> Sequence[VisibleColumn]:
        """See ``Source.find``."""
        return [item for item in self._columns if item.name == name]

    def value(self, visible: VisibleColumn) -> exp.Expr:
        """See ``Source.value``."""
        return column(self.alias, self._names[visible.index])

    def relation(self) -> Relation:
        """See ``Source.relation``."""
        arguments = tuple(self._builder.expression(item) for item in self._call.arguments)
        return FunctionTable(
            self.alias,
            self._call.name,
            arguments,
            self._names,
            self._call.ordinality,
            tuple(self._builder.subqueries),
        )

    def unique_keys(self) -> Iterator[frozenset[int]]:
        """See ``Source.unique_keys``. A series never comes back to a value."""
        if self._call.name == "generate_series":
            yield frozenset({0})
        if self._call.ordinality:
            yield frozenset({len(self._columns) - 1})


def bind_function(
    statement: Statement, node: exp.Expr, scope: Scope, bind: BindSubquery
) -> FunctionSource | None:
    """A function in FROM as a source; None where the item is none."""
    inner = node
    alias = node.args.get("alias")
    ordinality = node.args.get("ordinality")
    if isinstance(node, exp.Table | exp.Lateral):
        if node.args.get("rows_from"):
            raise unsupported("ROWS FROM", node, "Join the functions, WITH ORDINALITY if need be.")
        inner = node.this
        if isinstance(inner, exp.Identifier | exp.Subquery | exp.Literal):
            return None
        schema = node.args.get("db")
        if schema is not None and fold(schema.name) != "pg_catalog":
            raise unsupported("a function of a schema", node)
    elif not isinstance(node, exp.Unnest):
        return None
    call = FunctionCall(inner, ordinality)
    # The parser takes the last name of the list for the ordinality, and puts it elsewhere.
    offset = inner.args.get("offset")
    name, columns = _alias_of(alias, node)
    if isinstance(offset, exp.Identifier):
        columns = [*columns, _name(offset)]
    return FunctionSource(statement, call, (name, columns), scope, bind)


def _alias_of(alias: exp.Expr | None, node: exp.Expr) -> tuple[str, list[str]]:
    if alias is None:
        return "", []
    found = []
    for item in alias.args.get("columns") or []:
        if not isinstance(item, exp.Identifier):
            raise unsupported("a column definition list", node)
        found.append(_name(item))
    name = alias.this
    return (_name(name) if isinstance(name, exp.Identifier) else ""), found


def _name(node: exp.Identifier) -> str:
    return str(node.this) if node.args.get("quoted") else fold(str(node.this))
