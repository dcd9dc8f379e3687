"""Aggregates each of several facts alone and joins their groups on the keys they share."""

from __future__ import annotations

from dataclasses import replace

from sqlglot import exp

from semantic.compiler.emit_parts import is_constant
from semantic.compiler.lower.copies import Copy, PlanNames
from semantic.compiler.lower.grouped import MainPart, aliases_of, refuse_correlated
from semantic.compiler.lower.parts import Part, unite
from semantic.compiler.plan import (
    Derived,
    Join,
    MeasureUse,
    PlanNode,
    Query,
    Relation,
    Select,
    walk,
)
from semantic.compiler.plan_facts import Fact, Facts
from semantic.compiler.rewrite.tools import bottom_up, everywhere
from semantic.compiler.trees import all_of, conjuncts, rebuild, table_of
from semantic.errors import UnsupportedError


def separate_facts(plan: Query) -> Query:
    """A plan without ``Facts``.

    Raises:
        UnsupportedError: 0A000, a subquery speaks of the facts.
    """
    if not any(isinstance(node, Facts) for node in walk(plan)):
        return plan
    names = PlanNames(plan)

    def separated(node: PlanNode) -> PlanNode:
        if isinstance(node, Select) and isinstance(node.source, Facts):
            _refuse_correlated(node, node.source)
            return _Separation(node, node.source, names).make_select()
        return node

    return bottom_up(plan, separated)


def _refuse_correlated(select: Select, facts: Facts) -> None:
    """Refuse subqueries that speak of the facts, or of a query around them."""
    some = {name: value for fact in facts.facts for name, value in fact.shared}

    def value(node: exp.Expr) -> exp.Expr | None:
        return some.get(node) if isinstance(node, exp.Column) else None

    try:
        refuse_correlated(everywhere(select, lambda node: rebuild(node, value)))
    except UnsupportedError as error:
        raise UnsupportedError(
            "a correlated subquery beside several facts is not supported",
            hint="Aggregate the facts in a grouped subquery in FROM, and correlate with that.",
        ) from error


class _Separation(MainPart):
    """A grouped SELECT over several facts: its columns are those of a part for each of them."""

    def __init__(self, select: Select, facts: Facts, names: PlanNames) -> None:
        super().__init__(select, "")
        self._names_of_plan = names
        self._facts = facts.facts
        self._known = aliases_of(facts)
        self._parts: dict[str, MainPart] = {}
        self._are_known = False

    def make_select(self) -> Select:
        # The first time tells which facts take part; then their keys are known.
        self.rest(self._facts[0].relation, {}, ())
        self._are_known = True
        rest = self.rest(self._facts[0].relation, {}, ())
        return replace(rest, source=self._relation())

    # What the rest of the SELECT asks for.

    def column(self, node: exp.Expr, wanted: str) -> exp.Expr:
        """See ``MainPart``: an aggregate is over the rows of one fact."""
        if isinstance(node, exp.Grouping):
            if not self._are_known:
                return exp.Null()
            return self._either(
                [
                    part.column(self._at(self._fact(alias), node), wanted)
                    for alias, part in self._parts.items()
                ]
            )
        fact = self._fact_of(node)
        return self._part(fact).column(self._at(fact, node), wanted)

    def measure(self, use: MeasureUse) -> exp.Expr:
        """See ``MainPart``."""
        fact = self._fact(use.alias)
        condition = None if use.filter is None else self._at(fact, use.filter)
        return self._part(fact).measure(replace(use, filter=condition))

    def key_column(self, place: int) -> exp.Expr:
        """See ``MainPart``: the value of whichever fact has the group."""
        if not self._are_known:
            return exp.Null()
        return self._either([part.key_column(place) for part in self._parts.values()])

    # The parts.

    def _relation(self) -> Relation:
        places = [place for place, key in enumerate(self.keys) if not is_constant(key)]
        parts: list[Part] = []
        for part in self._parts.values():
            keys = [part.key_names[place] for place in places]
            if self.sets is not None:
                keys += [part.bit(place).name for place in places]
            relation: Relation = Derived(part.alias, part.make())
            if parts:
                # Facts share scans, and each relation of a plan has a name of its own.
                relation = Copy(self._names_of_plan, relation, ()).relation
            if not isinstance(relation, Derived):
                raise TypeError(type(relation).__name__)
            parts.append(Part(replace(relation, alias=part.alias), tuple(keys)))
        if self.select.group:
            return unite(parts)[0]
        united: Relation = parts[0].source
        for other in parts[1:]:
            united = Join(united, other.source, "CROSS", None)
        return united

    def _part(self, fact: Fact) -> MainPart:
        part = self._parts.get(fact.alias)
        if part is None:
            conditions = [
                self._at(fact, node)
                for node in conjuncts(self.select.where)
                if self._is_reached(fact, node)
            ]
            group = tuple(self._at(fact, node) for node in self.select.group or ())
            select = replace(
                self.select,
                source=fact.relation,
                where=all_of(conditions),
                group=group,
                measures=tuple(use for use in self.select.measures if use.alias == fact.alias),
            )
            alias = self._names_of_plan.alias(f"{fact.name}:groups")
            part = self._parts[fact.alias] = MainPart(select, alias)
            if len(part.keys) != len(self.keys):
                raise UnsupportedError(
                    "grouping by two columns that are one of "
                    f"{fact.name} beside other facts is not supported",
                    hint="Group by one of them.",
                )
        return part

    def _at(self, fact: Fact, node: exp.Expr) -> exp.Expr:
        """An expression over the columns of one fact."""
        if not fact.shared:
            return node
        shared = dict(fact.shared)
        return rebuild(
            node, lambda item: shared.get(item) if isinstance(item, exp.Column) else None
        )

    def _is_reached(self, fact: Fact, node: exp.Expr) -> bool:
        """Whether a fact has all columns of the facts that an expression speaks of."""
        reached = aliases_of(fact.relation)
        shared = {name for name, _ in fact.shared}
        return all(
            table_of(item) in reached or item in shared or not self._is_of_facts(item)
            for item in node.find_all(exp.Column)
        )

    def _is_of_facts(self, node: exp.Column) -> bool:
        return table_of(node) in self._known or any(
            node == name for fact in self._facts for name, _ in fact.shared
        )

    def _fact(self, alias: str) -> Fact:
        return next(fact for fact in self._facts if fact.alias == alias)

    def _fact_of(self, node: exp.Expr) -> Fact:
        """The fact that an aggregate is over: it speaks of it, and of what it reaches."""
        tables = {table_of(item) for item in node.find_all(exp.Column)}
        roots = [
            fact
            for fact in self._facts
            if not any(
                fact.alias in aliases_of(other.relation)
                for other in self._facts
                if other is not fact
            )
        ]
        for fact in (*roots, *self._facts):
            if fact.alias in tables and self._is_reached(fact, node):
                return fact
        raise TypeError("an aggregate over several facts")

    def _either(self, columns: list[exp.Expr]) -> exp.Expr:
        if len(columns) == 1:
            return columns[0]
        return exp.Coalesce(this=columns[0], expressions=columns[1:])
