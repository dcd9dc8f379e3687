"""One version of the model in service, with what is derived from it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from semantic.compiler.compiler import Compiler
from semantic.model.model import Model
from semantic.model.published import PublishedModel

_WORD = re.compile(r"\w+")
_PLAIN = re.compile(r"\w+\Z")


@dataclass(frozen=True, slots=True, eq=False)
class Generation:
    """A model version, replaced whole and never changed.

    Attributes:
        words: relation names that are one word, in lower case.
        phrases: relation names with other characters, in lower case.
    """

    model: Model
    published: PublishedModel
    compiler: Compiler
    words: frozenset[str]
    phrases: tuple[str, ...]

    @classmethod
    def of(cls, model: Model, published: PublishedModel, compiler: Compiler) -> Generation:
        """Derive the index of names."""
        names = [relation.name.lower() for relation in published.relations]
        return cls(
            model,
            published,
            compiler,
            frozenset(name for name in names if _PLAIN.match(name)),
            tuple(name for name in names if not _PLAIN.match(name)),
        )

    def may_touch(self, sql: str) -> bool:
        r"""Whether a cube's name occurs in a text at all: if not, the catalog answers it.

        An identifier written with Unicode escapes (``U&"fl\0069ghts"``) spells a name without
        containing it, so such a text always goes the long way.
        """
        lowered = sql.lower()
        if not self.words.isdisjoint(_WORD.findall(lowered)):
            return True
        return 'u&"' in lowered or any(phrase in lowered for phrase in self.phrases)
