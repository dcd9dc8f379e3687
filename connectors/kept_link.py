"""A link that the statements of a snapshot take in turn."""

from __future__ import annotations

from typing import Generic

from connectors.link_pool import Lender, LinkT
from connectors.snapshots import snapshot_lost, still_read


class KeptLink(Generic[LinkT]):
    """A lender of one link, which the first statement takes from a pool and the last leaves here.

    Attributes:
        lost: whether the link is gone, and with it what has been begun on it.
    """

    def __init__(self, pool: Lender[LinkT]) -> None:
        self._pool = pool
        self._link: LinkT | None = None
        self._is_taken = False
        self.lost = False

    async def take(self) -> LinkT:
        """The link, for the caller alone until ``give_back``. Raises 55006 and 08006."""
        if self.lost:
            raise snapshot_lost()
        if self._is_taken:
            raise still_read()
        self._is_taken = True
        try:
            if self._link is None:
                self._link = await self._pool.take()
        except BaseException:
            self._is_taken = False
            raise
        return self._link

    def give_back(self, link: LinkT, *, reusable: bool) -> None:
        """End one statement's use of the link."""
        self._is_taken = False
        if not reusable or link.lost or link.altered or self.lost:
            self._let_go(link, reusable=False)

    def release(self, *, reusable: bool) -> None:
        """Give the link back to its pool, at once or when the statement at hand leaves it."""
        link = self._link
        if link is not None and not self._is_taken:
            self._let_go(link, reusable=reusable)
        self.lost = True

    def _let_go(self, link: LinkT, *, reusable: bool) -> None:
        self._link, self.lost = None, True
        self._pool.give_back(link, reusable=reusable)
