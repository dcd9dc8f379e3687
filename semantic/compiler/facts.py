"""Several facts in one grouped SELECT: whether each can be aggregated apart (model.md).

Each fact is grouped alone by the same keys, and the groups are joined. So the keys must be columns
that all of them reach, and each aggregate must be over the rows of one of them.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp

from semantic.compiler.aggregates import aggregate_name, is_aggregate
from semantic.compiler.from_tree import FactTree
from semantic.compiler.positions import position_of
from semantic.compiler.scope import Source
from semantic.compiler.select_state import SelectState
from semantic.compiler.trees import conjuncts
from semantic.errors import UnsupportedError


def check_facts(state: SelectState) -> None:
    """Refuse what cannot be told of facts that are aggregated apart.

    Raises:
        UnsupportedError: a key that one of them does not reach, a condition that none of them
            reaches, or an aggregate that is over none of them.
    """
    if state.from_clause.facts:
        _Facts(state, state.from_clause.facts).check()


class _Facts:
    def __init__(self, state: SelectState, facts: tuple[FactTree, ...]) -> None:
        self._state = state
        self._facts = facts
        self._used: list[FactTree] = []

    def check(self) -> None:
        state = self._state
        nodes = [item.node for item in state.items if item.node is not None]
        nodes += [state.having] if state.having is not None else []
        nodes += [key.this for key in state.order]
        for node in nodes:
            for aggregate in self._aggregates(node):
                fact = self._fact_of(aggregate)
                if not any(fact is item for item in self._used):
                    self._used.append(fact)
        if not self._used:
            raise UnsupportedError(
                "a grouping over several facts without a measure of one of them is not supported",
                hint="Select a measure, or group the cube that has the columns.",
                position=position_of(state.node.expressions[0]),
            )
        for key in state.resolver.group_keys:
            self._check_key(key)
        for condition in conjuncts(state.where):
            self._check_condition(condition)

    def _fact_of(self, node: exp.Expr) -> FactTree:
        sources = self._sources(node)
        is_measure = any(
            visible.is_measure
            for child in node.walk()
            if (visible := self._state.resolver.columns.get(id(child))) is not None
        )
        for fact in self._facts:
            over_it = any(source is fact.root for source in sources)
            if over_it and all(fact.reaches(source) for source in sources):
                others = (other for other in self._facts if other is not fact)
                if is_measure or not any(other.reaches(fact.root) for other in others):
                    return fact
        names = ", ".join(fact.root.relation_name for fact in self._roots())
        call = node.this if isinstance(node, exp.Filter) else node
        raise UnsupportedError(
            f"{aggregate_name(call).upper()} over the rows of several facts ({names}) is not "
            "supported",
            hint="Use measures, or aggregate columns of one fact.",
            position=position_of(node),
        )

    def _check_key(self, key: exp.Expr) -> None:
        for source in self._sources(key):
            for fact in self._used:
                if not fact.reaches(source):
                    raise UnsupportedError(
                        f"grouping {fact.root.relation_name} by a column of "
                        f'"{source.name}", which it does not reach, is not supported',
                        hint="Group several facts by columns that all of them reach.",
                        position=position_of(key),
                    )

    def _check_condition(self, node: exp.Expr) -> None:
        sources = self._sources(node)
        if not any(all(fact.reaches(source) for source in sources) for fact in self._used):
            names = ", ".join(fact.root.relation_name for fact in self._used)
            raise UnsupportedError(
                f"this condition is on columns that none of the facts ({names}) reaches",
                hint="A condition filters the facts that reach all of its columns.",
                position=position_of(node),
            )

    def _roots(self) -> list[FactTree]:
        """The facts that are not dimensions of others."""
        return [
            fact
            for fact in self._facts
            if not any(other.reaches(fact.root) for other in self._facts if other is not fact)
        ]

    def _sources(self, node: exp.Expr) -> list[Source]:
        """The sources of this FROM that an expression speaks of."""
        found: dict[int, Source] = {}
        for child in node.walk():
            visible = self._state.resolver.columns.get(id(child))
            if visible is not None and any(f.reaches(visible.source) for f in self._facts):
                found[id(visible.source)] = visible.source
        return list(found.values())

    def _aggregates(self, node: exp.Expr) -> Iterator[exp.Expr]:
        """The aggregates over the rows of a group; the function of a window call is over groups."""
        if isinstance(node, exp.Query):
            return
        if isinstance(node, exp.Window):
            call = node.this.this if isinstance(node.this, exp.Filter) else node.this
            for child in call.iter_expressions():
                yield from self._aggregates(child)
            for key, value in node.args.items():
                for item in value if isinstance(value, list) else [value]:
                    if key != "this" and isinstance(item, exp.Expr):
                        yield from self._aggregates(item)
            return
        evaluated = id(node) in self._state.resolver.evaluations
        if evaluated or isinstance(node, exp.Filter) or is_aggregate(node):
            yield node
            return
        for child in node.iter_expressions():
            yield from self._aggregates(child)
