"""What is known of a warehouse's dialect: tables of what it does exactly as PostgreSQL would.

Exactly: the same value and type for every input, NULL, infinities and the ends of types among them;
where PostgreSQL complains of a number that does not fit, an error or the number, never another one.
Whatever is not in the tables is refused (0A000). ``tests/portable`` runs every template on the real
engine, on random values, beside PostgreSQL.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from semantic.compiler.expressions.features import Features


@dataclass(frozen=True, slots=True)
class Tables:
    """A dialect.

    Templates are as ``build.sql`` reads them. Types go by ``pg_type.typname``.

    Attributes:
        dialect: its name.
        parser: the name that the parser's library has for it, where that is another.
        title: for messages.
        features: forms of queries.
        types: how a cast spells a type, for NULLs and for the model's declared types. A numeric's
            holds ``{precision}`` and ``{scale}``; without the latter there are no decimals.
        digits: the most digits of a numeric; 0 where there is no such type.
        decimals: the most of them behind the point.
        comparable: types whose values are equal, grouped and sorted as PostgreSQL's are, by the
            warehouse's own operators, as they come out of ``columns`` and ``templates``.
        unsorted: of them, those whose values are sorted by other rules.
        templates: by signature, see ``keys`` below.
        constants: ``_1`` is the value as a number, or as a string literal (``2024-12-31``,
            ``2024-12-31 23:59:59.5``, of a timestamptz in UTC). A type that is missing has none.
        number_texts: constants of type numeric are texts, as the warehouse reads a number with
            decimals as a double.
        parameters: ``_1`` is what the client sent, as the connector binds it.
        columns: a column of the model in the form that all templates take; missing ones are taken
            as they are. Here a warehouse that compares texts by other rules than bytes is told to.
        results: what leaves for the client, in the form that the connector reads.
        same: ``_1 IS NOT DISTINCT FROM _2``.
        truth: a condition as a value of type bool, where conditions are no values; empty where they
            are. Templates give values and take values.
        holds: such a value as a condition.
        byte_texts: texts are their bytes in UTF-8 to the templates: a constant is ``0xC3A9``, which
            goes through the template of constants of type text.
        null_in_lists: IN gives NULL where an item is NULL, or comes from a query, and none is equal
            to the left side.
        patterns: ``like`` for patterns of LIKE with ``like_escape`` before ``%`` and ``_`` that
            stand for themselves, ``glob`` for those of GLOB.
        like_escape: see there.
        moment: a timestamp without time zone as a timestamptz, taken to be in UTC; empty where the
            warehouse has no such type.
        at_zone: the same, taken to be in the zone ``_z``; empty where that is not exact.

    Keys of templates:

    * ``+(int4, int4)``: an operator; ``<(float8, float8)`` goes before the warehouse's own.
      ``-(int4)`` is the sign. ``+(date, months)``, ``+(timestamp, days)`` and
      ``+(timestamp, microseconds)`` add a constant interval's part, a number that may be negative.
    * ``cast(int4, int8)``: from, to. Of a numeric's ``_t`` is the spelling.
    * ``lower(text)``: a function, its arguments in the types that PostgreSQL takes.
    * ``date_trunc('month', timestamp)``, ``extract('year', date)``: with a literal field.
      What depends on the session's time zone is looked up where that is UTC; elsewhere with
      ``, zone`` behind (``date_trunc('month', timestamptz, zone)``), and ``_z`` is the zone.
    * ``like(text, text)``, ``ilike(text, text)``: the pattern is a constant as ``patterns`` says; a
      template of LIKE names the escape character in its own ESCAPE clause.
    * ``sum(int4)``, ``count(*)``, ``count(any)``, ``count(distinct text)``: aggregates. FILTER is
      made of CASE, so they have to pass over NULLs.
    * ``sum(int4) over``, ``rank() over``: the call that stands before OVER.
    """

    dialect: str
    title: str
    features: Features
    types: Mapping[str, str]
    comparable: frozenset[str]
    templates: Mapping[str, str]
    constants: Mapping[str, str]
    parameters: Mapping[str, str]
    digits: int = 0
    unsorted: frozenset[str] = frozenset()
    number_texts: bool = False
    decimals: int = 1000
    parser: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)
    results: Mapping[str, str] = field(default_factory=dict)
    null_in_lists: bool = True
    same: str = "_1 IS NOT DISTINCT FROM _2"
    truth: str = ""
    holds: str = "_1"
    byte_texts: bool = False
    patterns: Literal["like", "glob"] = "like"
    like_escape: str = "!"
    moment: str = ""
    at_zone: str = ""


def each(names: str, templates: Mapping[str, str]) -> dict[str, str]:
    """The same templates for several types: ``{}`` in a key or template is the type's name."""
    return {
        key.replace("{}", name): text.replace("{}", name)
        for name in names.split()
        for key, text in templates.items()
    }
