"""Scopes: for each caller what exists, who answers for it, and what of its rows may be seen."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol
from weakref import WeakValueDictionary

from proxy.catalog.face import CatalogFace
from proxy.catalog.profiles import ProfileCatalogs
from proxy.generation import Generation
from semantic.security.access import Access
from semantic.security.context import SecurityContext
from semantic.security.visibility import (
    hidden_names,
    hides_nothing,
    profile_of,
    restricted,
)

DECISIONS = 1024
"""How many callers' access decisions are kept."""

Decide = Callable[[Generation, SecurityContext], Access]
Operates = Callable[[SecurityContext], bool]
"""Whether a caller is shown the tables of the server itself."""


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Scope:
    """What exists for a caller. Shared by all whose access is the same.

    Attributes:
        access: what of the model's rows and values may be seen.
        generation: the model as far as the caller knows it.
        whole: the model as those know it who may see all of it.
        catalog: the PostgreSQL that shows the same as ``generation``.
        is_whole: the caller may see every member, row and value there is.
        hidden: names in the model that are no names of anything the caller knows of.
    """

    access: Access
    generation: Generation
    whole: Generation
    catalog: CatalogFace
    is_whole: bool = True
    hidden: frozenset[str] = frozenset()


class ScopeSource(Protocol):
    """Who tells the scopes of callers.

    Attributes:
        generation: of whatever compiler is at hand, for reading texts without looking at names.
    """

    generation: Generation

    async def open(self, context: SecurityContext) -> Scope:
        """What exists for a caller."""


class Scopes:
    """The scopes of all callers of one model.

    Args:
        generation: of all that is public.
        catalog: which shows that.
        profiles: catalogs that show less.
        decide: what a caller may see.
        operates: whether that includes the server's own tables.
    """

    def __init__(
        self,
        generation: Generation,
        catalog: CatalogFace,
        profiles: ProfileCatalogs,
        decide: Decide,
        operates: Operates = lambda _: False,
    ) -> None:
        self.generation = generation
        self._catalog = catalog
        self._profiles = profiles
        self._decide = decide
        self._operates = operates
        self._scopes: OrderedDict[SecurityContext, Scope] = OrderedDict()
        self._generations: WeakValueDictionary[str, Generation] = WeakValueDictionary()
        self._by_access: WeakValueDictionary[tuple[Access, bool], Scope] = WeakValueDictionary()

    async def open(self, context: SecurityContext) -> Scope:
        """What exists for a caller. Raises SessionError where nothing can be told of them."""
        return self._of(context)

    def _of(self, context: SecurityContext) -> Scope:
        found = self._scopes.get(context)
        if found is None:
            found = self._scopes[context] = self._make(context)
            if len(self._scopes) > DECISIONS:
                self._scopes.popitem(last=False)
        else:
            self._scopes.move_to_end(context)
        return found

    def _make(self, context: SecurityContext) -> Scope:
        access = self._decide(self.generation, context)
        key = (access, self._operates(context))
        found = self._by_access.get(key)
        if found is None:
            found = self._by_access[key] = self._scope(*key)
        return found

    def _scope(self, access: Access, operates: bool) -> Scope:
        whole = self.generation
        is_whole = hides_nothing(whole.model, access)
        published = restricted(whole.model, whole.published, access)
        hidden: frozenset[str] = frozenset()
        if published is not whole.published:
            hidden = hidden_names(whole.model, published)
        elif not operates:
            return Scope(access, whole, whole, self._catalog, is_whole)
        if operates:
            published = replace(published, system_tables=True)
        profile = profile_of(published)
        generation = self._generations.get(profile)
        if generation is None:
            generation = self._generations[profile] = whole.restricted(published, profile)
        catalog = self._profiles.of(profile, generation.published)
        return Scope(access, generation, whole, catalog, is_whole, hidden)
