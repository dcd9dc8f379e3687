"""What the binding of one statement shares: the model, the client's text and the edits to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlglot import exp
from sqlglot.tokenizer_core import Token, TokenType

from semantic.compiler.api import SessionSettings
from semantic.compiler.members import Members
from semantic.compiler.names import Names, quoted
from semantic.compiler.positions import Edit, position_of, start_of
from semantic.compiler.temporary import TemporaryUses
from semantic.errors import SemanticError, UnsupportedError
from semantic.model.published import PublishedRelation

CATALOGS = frozenset(("pg_catalog", "information_schema"))
SYSTEM_SCHEMA = "cubewire"
"""The schema of the server's own tables."""


@dataclass(slots=True)
class Statement:
    """The statement that is being bound.

    Attributes:
        relations: published relations by name.
        folded: the names of relations by their folded form, where that differs.
        deferred: what is wrong with a name; reported when PostgreSQL has nothing against it.
        cubes: names of the cubes and views that were found.
        sources: the data sources that they are in.
        foreign: the first relation that is neither a cube, a view nor a WITH query.
        temporary: the columns of temporary tables that are in demand.
        catalogs: schemas that the catalog alone can read.
    """

    sql: str
    tokens: Sequence[Token]
    settings: SessionSettings
    members: Members
    relations: Mapping[str, PublishedRelation]
    folded: Mapping[str, str]
    names: Names = field(default_factory=Names)
    edits: list[Edit] = field(default_factory=list)
    cubes: dict[str, None] = field(default_factory=dict)
    data_sources: dict[str, None] = field(default_factory=dict)
    deferred: SemanticError | None = None
    foreign: exp.Table | None = None
    temporary: TemporaryUses = field(default_factory=TemporaryUses)
    catalogs: frozenset[str] = CATALOGS
    _counter: int = 0

    @property
    def data_source(self) -> str:
        """The data source of the cubes that were found."""
        return next(iter(self.data_sources), "default")

    def next_key(self) -> str:
        """A key that is unique in the statement."""
        self._counter += 1
        return str(self._counter)

    def defer(self, error: SemanticError) -> None:
        """Remember the first error that PostgreSQL is expected to report better."""
        if self.deferred is None:
            self.deferred = error

    def replace(self, node: exp.Identifier | exp.Column, text: str) -> None:
        """Replace an identifier or a column of the client's text."""
        span = span_of(node)
        if span is not None:
            self.edits.append(Edit(span[0], 0, span[1] - span[0], text))

    def replace_using(self, node: exp.Expr, text: str) -> None:
        """Replace the USING clause that ends with an identifier, from its first word on."""
        span = span_of(node)
        if span is None:
            raise unsupported("USING at this place", node)
        at = next(i for i, token in enumerate(self.tokens) if token.start >= span[0])
        first = next(t for t in reversed(self.tokens[:at]) if t.token_type == TokenType.USING)
        end = self.tokens[at + 1].end + 1
        self.edits.append(Edit(first.start, 0, end - first.start, text))

    def is_behind_join(self, node: exp.Expr) -> bool:
        """Whether the word JOIN stands before an item of FROM."""
        start = start_of(node)
        before = [token for token in self.tokens if start is not None and token.start < start]
        words = (t for t in reversed(before) if t.token_type not in _OPENINGS)
        return next((t.token_type == TokenType.JOIN for t in words), False)

    def wrap(self, node: exp.Expr, before: str, after: str) -> None:
        """Put text around a column of the client's text."""
        span = span_of(node)
        if span is None:
            raise unsupported("a measure at this place", node)
        self.edits.append(Edit(span[0], -1, 0, before))
        self.edits.append(Edit(span[1], 1, 0, after))

    def name_item(self, node: exp.Column, name: str) -> None:
        """Give the select item that a column stands in an alias of its own."""
        span = span_of(node)
        if span is not None:
            end = self._end_of_item(span[0])
            self.edits.append(Edit(end, 2, 0, f" AS {quoted(name)}"))

    def _end_of_item(self, offset: int) -> int:
        """The offset behind the select item that holds the token at ``offset``."""
        tokens = self.tokens
        at = next(i for i, token in enumerate(tokens) if token.end >= offset)
        depth = 0
        for i in range(at, -1, -1):
            kind = tokens[i].token_type
            if kind == TokenType.R_PAREN:
                depth += 1
            elif kind == TokenType.L_PAREN:
                depth -= 1
            elif kind == TokenType.SELECT and depth <= 0:
                break
        # The item lies -depth parentheses deep inside the select list.
        inside = -depth
        end = tokens[at].end + 1
        for token in tokens[at:]:
            kind = token.token_type
            if kind == TokenType.L_PAREN:
                inside += 1
            elif kind == TokenType.R_PAREN:
                inside -= 1
            if inside < 0 or (inside == 0 and kind in _ITEM_ENDS):
                break
            end = token.end + 1
        return end


_OPENINGS = frozenset({TokenType.L_PAREN, TokenType.LATERAL, TokenType.SELECT})
_ITEM_ENDS = frozenset({TokenType.COMMA, TokenType.FROM})


def span_of(node: exp.Expr) -> tuple[int, int] | None:
    """The offsets around an identifier or a column."""
    if isinstance(node, exp.Identifier):
        meta = node._meta
        return (meta["start"], meta["end"] + 1) if meta and "start" in meta else None
    start = start_of(node)
    last = node.this
    end = span_of(last) if isinstance(last, exp.Identifier) else None
    return None if start is None or end is None else (start, end[1])


def unsupported(what: str, node: exp.Expr | None, hint: str | None = None) -> UnsupportedError:
    """A refusal that points at a node."""
    return UnsupportedError(f"{what} is not supported", hint=hint, position=position_of(node))


def not_a_query(node: exp.Expr) -> SemanticError:
    """The refusal of what would change data, in PostgreSQL's words (25006), or of what it is."""
    if isinstance(node, exp.Insert | exp.Update | exp.Delete | exp.Merge):
        return read_only(type(node).__name__.upper(), node)
    return unsupported("this form of statement over a cube", node, "Write a SELECT.")


def read_only(command: str, node: exp.Expr) -> SemanticError:
    """The refusal of a command that PostgreSQL has no read-only transaction run."""
    return SemanticError(
        "25006",
        f"cannot execute {command} in a read-only transaction",
        hint="Cubewire serves cubes for reading; write to the warehouse itself.",
        position=position_of(node),
    )


def refuse_other_arguments(node: exp.Expr, allowed: frozenset[str], what: str) -> None:
    """Refuse a node that carries a clause which is not in the list."""
    for key, value in node.args.items():
        if value and key not in allowed:
            if key == "sample":
                raise unsupported(
                    "TABLESAMPLE over a cube", node, "Write WHERE random() < 0.1 for a tenth."
                )
            clause = key.strip("_").replace("_", " ").upper()
            raise unsupported(f"{clause} in {what}", node)
