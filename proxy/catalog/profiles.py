"""A catalog for each visibility profile: what a caller may not see does not exist in theirs.

A profile's catalog is a cluster of its own, so that every name in it is exact. It is made from the
template and filled when it is first used, and stopped with its data when another profile needs its
place; what is asked of it then starts it again. Many profiles can be known while few of them live.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from weakref import WeakValueDictionary

from proxy.catalog.backend import CatalogBackend
from proxy.catalog.catalog import Catalog
from proxy.catalog.errors import CatalogError
from proxy.catalog.options import CatalogOptions
from proxy.catalog.private import PrivateBackend
from proxy.catalog.quota import PrivateQuota
from proxy.catalog.results import CatalogAnalysis
from semantic.model.published import PublishedModel

logger = logging.getLogger("cubewire.catalog")

IDLE_SECONDS = 15.0
"""How long a profile's unused backends are kept: there are many profiles."""

LOOK_SECONDS = 0.02
"""How often a profile that waits for a place looks for one that is no longer in use."""


class ProfileCatalogs:
    """The catalogs of all profiles but that of callers who may see everything.

    Args:
        options: as of the catalog for everybody.
        limit: most catalogs that live at one time.
        quota: of private backends, shared with the catalog for everybody.
        spare: keep one more, empty, so that a new profile need not wait for a start.
    """

    def __init__(
        self, options: CatalogOptions, limit: int, quota: PrivateQuota, *, spare: bool = True
    ) -> None:
        idle = min(IDLE_SECONDS, options.idle_timeout)
        self._options = replace(options, idle_timeout=idle, keep_owner=False)
        self._limit = limit
        self._quota = quota
        self._known: WeakValueDictionary[str, ProfileCatalog] = WeakValueDictionary()
        self._live: list[ProfileCatalog] = []  # longest unused first
        self._places = asyncio.Lock()
        self._keeps_spare = spare
        self._spare: asyncio.Task[Catalog] | None = None
        self._stopping: set[asyncio.Task[None]] = set()
        self._closed = False
        self._wanted: set[str] = set()

    @property
    def live(self) -> int:
        """How many catalogs run or are being started."""
        return len(self._live)

    def of(self, profile: str, published: PublishedModel) -> ProfileCatalog:
        """The catalog of a profile, which need not run yet.

        Args:
            profile: names what the catalog shows.
            published: what it shows.
        """
        self._wanted.add(profile)
        found = self._known.get(profile)
        if found is None:
            found = self._known[profile] = ProfileCatalog(self, published)
        return found

    def expect_others(self) -> None:
        """Another model is served from now on: nobody has asked for one of its profiles yet."""
        self._wanted.clear()

    def retire(self) -> None:
        """Stop what nobody has asked for since, and nobody uses.

        What is still in use goes when another takes its place, or with the next model.
        """
        wanted = {id(self._known.get(profile)) for profile in self._wanted}
        for profile in list(self._live):
            if id(profile) not in wanted and profile.may_stop:
                self._live.remove(profile)
                self._end(profile)

    async def close(self) -> None:
        """Stop all of them."""
        self._closed = True
        ends = [profile.stop() for profile in self._live]
        await asyncio.gather(*ends, self._drop_spare(), *self._stopping)
        self._live.clear()

    def used(self, profile: ProfileCatalog) -> None:
        """A live catalog is used now: it is the last to be stopped."""
        self._live.remove(profile)
        self._live.append(profile)

    async def make(self, profile: ProfileCatalog) -> Catalog:
        """A running catalog that shows what the profile may see.

        Raises CatalogError 53300 where too many others are in use, 57P03 where it cannot be
        started.
        """
        async with self._places:
            await self._make_room()
            self._live.append(profile)
        try:
            catalog = await self._take()
            try:
                await catalog.deploy(profile.published)
            except BaseException:
                await catalog.close()
                raise
        except BaseException as error:
            self._live.remove(profile)
            if not isinstance(error, CatalogError | OSError):
                raise
            logger.error("a profile's catalog could not be started: %s", error)  # noqa: TRY400
            raise CatalogError(
                "57P03",
                "the catalog could not be started",
                hint="Run the statement again; the server's log tells the reason.",
            ) from error
        if self._keeps_spare and self._spare is None and not self._closed:
            self._spare = asyncio.create_task(self._start(), name="spare catalog")
        return catalog

    async def _take(self) -> Catalog:
        """An empty catalog: the spare one, or one that is started now."""
        spare, self._spare = self._spare, None
        if spare is not None:
            try:
                return await asyncio.shield(spare)
            except (CatalogError, OSError) as error:
                logger.debug("the spare catalog had not started: %s", error)
            except asyncio.CancelledError:
                self._spare = spare
                raise
        return await self._start()

    async def _start(self) -> Catalog:
        catalog = Catalog(self._options, self._quota)
        try:
            await catalog.start()
        except BaseException:
            await catalog.close()
            raise
        return catalog

    async def _drop_spare(self) -> None:
        spare, self._spare = self._spare, None
        if spare is not None:
            await asyncio.wait([spare])  # a copy that is being made cannot be stopped half way
            if not spare.cancelled() and spare.exception() is None:
                await spare.result().close()

    def _end(self, profile: ProfileCatalog) -> None:
        """Stop one without waiting for it, which whoever wants its place would feel."""
        stopping = asyncio.create_task(profile.detach().close(), name="end of a profile's catalog")
        self._stopping.add(stopping)
        stopping.add_done_callback(self._stopping.discard)

    async def _make_room(self) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + self._options.lease_timeout
        while len(self._live) >= self._limit and not self._closed:
            unused = next((profile for profile in self._live if profile.may_stop), None)
            if unused is not None:
                self._live.remove(unused)
                self._end(unused)
            elif loop.time() > until:
                raise CatalogError(
                    "53300",
                    f"more than {self._limit} groups of users who see different things are active",
                    hint="Try again in a moment, or raise catalog.max_profiles_live.",
                )
            else:
                await asyncio.sleep(LOOK_SECONDS)
        if self._closed:
            raise CatalogError("57P01", "the catalog is shutting down")


class ProfileCatalog:
    """The catalog of one profile; see ``Catalog``. Each use starts it where it does not run.

    Attributes:
        published: what it shows.
    """

    def __init__(self, owner: ProfileCatalogs, published: PublishedModel) -> None:
        self.published = published
        self._owner = owner
        self._catalog: Catalog | None = None
        self._starting: asyncio.Task[Catalog] | None = None
        self._uses = 0

    @property
    def may_stop(self) -> bool:
        """Whether nobody would notice: no statement runs, no session has temporary tables."""
        catalog = self._catalog
        return catalog is not None and not self._uses and not catalog.has_private

    def detach(self) -> Catalog:
        """Its catalog, which it no longer uses, to be stopped."""
        catalog, self._catalog = self._catalog, None
        assert catalog is not None
        return catalog

    async def stop(self) -> None:
        """End it, with its data."""
        if self._starting is not None:
            await asyncio.wait([self._starting])
        if self._catalog is not None:
            await self.detach().close()

    async def analyse(
        self,
        sql: str,
        parameter_oids: Sequence[int],
        settings: Mapping[str, str],
        user: str,
        position: Callable[[int], int] | None = None,
    ) -> CatalogAnalysis:
        """See ``Catalog``."""
        async with self._use() as catalog:
            return await catalog.analyse(sql, parameter_oids, settings, user, position)
        raise AssertionError("unreachable")

    @asynccontextmanager
    async def lease(
        self, user: str, settings: Mapping[str, str], extra: Mapping[str, str] | None = None
    ) -> AsyncIterator[CatalogBackend]:
        """See ``Catalog``."""
        async with self._use() as catalog, catalog.lease(user, settings, extra) as backend:
            yield backend

    async def open_private(
        self, user: str, backend_pid: int, role: str | None = None
    ) -> PrivateBackend:
        """See ``Catalog``; it is not stopped while the backend is open."""
        async with self._use() as catalog:
            return await catalog.open_private(user, backend_pid, role)
        raise AssertionError("unreachable")

    def temporary_bytes(self, schema: str) -> int | None:
        """See ``Catalog``."""
        return None if self._catalog is None else self._catalog.temporary_bytes(schema)

    @asynccontextmanager
    async def _use(self) -> AsyncIterator[Catalog]:
        self._uses += 1
        try:
            catalog = await self._running()
            self._owner.used(self)
            yield catalog
        finally:
            self._uses -= 1

    async def _running(self) -> Catalog:
        """The catalog, started once for all who wait for it."""
        while self._catalog is None:
            if self._starting is None:
                self._starting = asyncio.create_task(self._owner.make(self), name="profile catalog")
                self._starting.add_done_callback(self._started)
            await asyncio.shield(self._starting)
        return self._catalog

    def _started(self, task: asyncio.Task[Catalog]) -> None:
        if self._starting is task:
            self._starting = None
        if not task.cancelled() and task.exception() is None:
            self._catalog = task.result()
