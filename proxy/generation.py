"""One version of the model in service, with what is derived from it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from semantic.compiler.compiler import Compiler
from semantic.compiler.utility.lexer import Kind, next_token
from semantic.model.model import Model, content_hash
from semantic.model.published import PublishedModel
from semantic.model.types import PostgresType

TYPES_DIGITS = 16
"""Of the hash of all types, in a version."""

_WORD = re.compile(r"\w+")
_PLAIN = re.compile(r"\w+\Z")


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Generation:
    """A model version as callers of one visibility profile know it; never changed.

    Attributes:
        version: of the model, its types and of what is shown of it, for keys.
        types: of all members, hidden ones too, by relation and name.
        words: relation names that are one word, in lower case.
        phrases: relation names with other characters, in lower case.
    """

    model: Model
    published: PublishedModel
    compiler: Compiler
    version: str
    types: Mapping[tuple[str, str], PostgresType]
    words: frozenset[str]
    phrases: tuple[str, ...]

    @classmethod
    def of(
        cls, model: Model, published: PublishedModel, compiler: Compiler, profile: str = ""
    ) -> Generation:
        """Derive the index of names.

        Args:
            model: the model.
            published: what is shown of it.
            compiler: knows the names that are shown, and no others.
            profile: names what is shown, where that is not all.
        """
        names = [relation.name.lower() for relation in published.relations]
        # The same model over other tables may have other types.
        version = f"{model.version}.{content_hash(published.types)[:TYPES_DIGITS]}"
        return cls(
            model,
            published,
            compiler,
            f"{version}/{profile}" if profile else version,
            {(relation, name): kind for relation, name, kind in published.types},
            frozenset(name for name in names if _PLAIN.match(name)),
            tuple(name for name in names if not _PLAIN.match(name)),
        )

    def restricted(self, published: PublishedModel, profile: str) -> Generation:
        """The same model for callers who are shown a part of it."""
        compiler = self.compiler.restricted(published)
        # Of the types, which are many, all profiles have one table.
        return replace(
            Generation.of(self.model, replace(published, types=()), compiler, profile),
            published=published,
            types=self.types,
        )

    def names_relation(self, sql: str) -> bool:
        """Whether a relation's name stands in a text as an identifier, not only inside a string.

        Takes milliseconds on a large text: for those that nothing else can read.
        """
        position = 0
        while (token := next_token(sql, position)).kind is not Kind.END:
            position = token.end
            if token.kind in (Kind.WORD, Kind.QUOTED_NAME):
                name = token.value.lower()
                if name in self.words or name in self.phrases:
                    return True
        return False

    def may_touch(self, sql: str) -> bool:
        r"""Whether a cube's name occurs in a text at all: if not, the catalog answers it.

        An identifier written with Unicode escapes (``U&"fl\0069ghts"``) spells a name without
        containing it, so such a text always goes the long way.
        """
        lowered = sql.lower()
        if not self.words.isdisjoint(_WORD.findall(lowered)):
            return True
        return 'u&"' in lowered or any(phrase in lowered for phrase in self.phrases)
