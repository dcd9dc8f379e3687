"""Tenants over a new model: who is here has it made before it is served."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from connectors.errors import WarehouseError
from proxy.tenants import NO_MODEL, TenantScopes
from semantic.model.model import Model
from semantic.model.relations import View
from semantic.security.context import SecurityContext


async def test_scopes_of_new_models() -> None:
    made: list[Model] = []
    broken: list[Model] = []

    class Made:
        async def open(self, context: SecurityContext) -> object:
            return context.tenant

    async def make(model: Model) -> Any:
        await asyncio.sleep(0)
        if model in broken:
            raise WarehouseError("42P01", "no such table")
        made.append(model)
        return Made()

    one, two, other = (Model((), (View(name, ()),)) for name in ("one", "two", "other"))
    scopes = TenantScopes(NO_MODEL, {"acme": one, "beta": one, "gone": one}, make)  # type: ignore[arg-type]
    ann, bob = (SecurityContext.of("x", tenant=name) for name in ("acme", "beta"))
    await scopes.open(ann)
    await scopes.open(bob)
    made.clear()
    after = await scopes.with_models({"acme": two, "beta": one, "late": other})
    assert made == [two]
    assert str(await after.open(ann)) == "acme"
    assert made == [two]
    assert len(await asyncio.gather(after.open(SecurityContext.of("x", tenant="late")))) == 1
    broken.append(other)
    with pytest.raises(WarehouseError):
        await after.with_models({"acme": other})
    assert str(await after.open(ann)) == "acme"
