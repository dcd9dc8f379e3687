"""Turns: bounded, fair by user, bounded by role, and never lost."""

from __future__ import annotations

import asyncio
import random

import pytest

from connectors.errors import WarehouseError
from proxy.warehouse.admission import Admission, Entrant


class Turnstile:
    """An admission, and the order in which statements got in."""

    def __init__(self, slots: int, *, user_slots: int = 0, seconds: float = 30, size: int = 1000):
        self.refused: list[str] = []
        self.admission = Admission(
            "source", slots, user_slots, seconds, size, self.refused.append
        )  # fmt: skip
        self.order: list[str] = []

    async def enter(self, entrant: Entrant) -> None:
        if not self.admission.try_enter(entrant):
            await self.admission.enter(entrant)
        self.order.append(entrant.user)

    def ask(self, *entrants: Entrant) -> list[asyncio.Task[None]]:
        return [asyncio.create_task(self.enter(each)) for each in entrants]


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_who_floods_the_queue_delays_others_by_one_turn() -> None:
    turns = Turnstile(2)
    greedy, modest = Entrant("greedy"), Entrant("modest")
    turns.ask(*[greedy] * 200, modest)
    await settle()
    assert (turns.admission.in_use, turns.admission.waiting) == (2, 199)
    turns.admission.leave(greedy)
    await settle()
    assert turns.order == ["greedy", "greedy", "modest"]


async def test_users_take_turns() -> None:
    turns = Turnstile(1)
    users = [Entrant(name) for name in "abc"]
    await turns.enter(users[0])
    turns.ask(*(user for user in users for _ in range(3)))
    await settle()
    for _ in range(9):
        turns.admission.leave(Entrant(turns.order[-1]))
        await settle()
    assert "".join(turns.order[1:]) in {"abcabcabc", "bcabcabca", "bcabcabac", "bcabcaabc"}
    assert turns.admission.waiting == 0


async def test_slots_of_a_user_and_of_a_role() -> None:
    turns = Turnstile(4, user_slots=2)
    batch = Entrant("batch", "robots", 1)
    turns.ask(*[Entrant("a")] * 3, batch, Entrant("other", "robots", 1))
    await settle()
    assert turns.order == ["a", "a", "batch"]
    turns.admission.leave(batch)
    await settle()
    assert turns.order[3:] == ["other"]
    turns.admission.leave(Entrant("a"))
    await settle()
    assert turns.order[4:] == ["a"]
    turns.ask(Entrant("free"))
    await settle()
    assert turns.order[5:] == ["free"]


async def test_a_wait_ends_with_53300_and_leaves_nothing_behind() -> None:
    turns = Turnstile(1, seconds=0.05, size=1)
    await turns.enter(Entrant("a"))
    (waits,) = turns.ask(Entrant("b"))
    await settle()
    with pytest.raises(WarehouseError, match="1 statements wait") as full:
        await turns.enter(Entrant("c"))
    with pytest.raises(WarehouseError, match=r"within 0\.05 s") as late:
        await waits
    assert full.value.sqlstate == late.value.sqlstate == "53300"
    assert late.value.hint is not None
    assert "limits.source.queue_seconds" in late.value.hint
    assert turns.refused == ["queue_full", "queue_timeout"]
    turns.admission.leave(Entrant("a"))
    assert (turns.admission.in_use, turns.admission.waiting) == (0, 0)
    await turns.enter(Entrant("c"))


async def test_no_slot_is_lost_whatever_is_cancelled() -> None:
    """Statements come and go; some are cancelled as they wait, or in the moment they enter."""
    chance = random.Random(7)
    turns = Turnstile(3, user_slots=2, seconds=0.02)
    most = 0

    async def statement() -> None:
        nonlocal most
        name = chance.choice("abcd")
        entrant = Entrant(name, "r" if name == "d" else None, 1)
        await turns.enter(entrant)
        most = max(most, turns.admission.in_use)
        try:
            await asyncio.sleep(chance.random() * 0.004)
        finally:
            turns.admission.leave(entrant)

    for _ in range(40):
        tasks = [asyncio.create_task(statement()) for _ in range(25)]
        for task in chance.sample(tasks, 12):
            await asyncio.sleep(chance.random() * 0.0005)
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert most == 3
    assert (turns.admission.in_use, turns.admission.waiting) == (0, 0)
    assert not turns.admission._by_user
    assert not turns.admission._by_role
