"""Method ``python``: a function of the operator's decides about a password.

``function(request, password)``, plain or async, is given a ``LoginRequest``. It returns a mapping
of what the user may count on (``groups``, ``roles``, ``attributes``, ``tenant``, ``act_as``,
``expires``; an empty one for nothing), or None for no. Whatever it raises is a no too.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from proxy.auth.bulkhead import Bulkhead, Unavailable
from proxy.auth.grants import Grants, GrantsError
from proxy.auth.method import LoginMethod, Parts, Refused
from proxy.auth.plain import PasswordMethod
from proxy.auth.request import LoginRequest
from proxy.auth.setup import SetupError
from proxy.config.rules import PythonRule

Hook = Callable[[LoginRequest, str], object]


class HookError(SetupError):
    """The function cannot be found."""


def find_hook(name: str) -> Hook:
    """Import the function of ``module:function``.

    Raises:
        HookError: there is none.
    """
    module, _, attribute = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except Exception as error:  # the operator's code may fail in any way
        raise HookError(f"auth.rules: {name} cannot be imported: {error}") from error
    if not callable(found):
        raise HookError(f"auth.rules: {name} is no function")
    hook: Hook = found
    return hook


@dataclass(frozen=True, slots=True)
class PythonHook:
    """Calls the function: a plain one in a thread, an async one in the event loop."""

    hook: Hook
    bulkhead: Bulkhead
    seconds: float
    at_once: asyncio.Semaphore = field(repr=False)
    name: str = "python"

    async def check(self, request: LoginRequest, password: str) -> Grants:
        """See PasswordChecker."""
        try:
            answer = await self._answer(request, password)
        except Unavailable as error:
            raise Refused(str(error), counts=False) from None
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever it raises is a no
            # Only the kind: its text may hold the password.
            raise Refused(f"hook raised {type(error).__name__}") from None
        if answer is None:
            raise Refused("hook said no")
        if isinstance(answer, Grants):
            return answer
        if not isinstance(answer, Mapping):
            raise Refused(f"hook returned {type(answer).__name__}", counts=False)
        try:
            return Grants.read(answer)
        except GrantsError as error:
            raise Refused(f"hook: {error}", counts=False) from None

    async def _answer(self, request: LoginRequest, password: str) -> object:
        if not inspect.iscoroutinefunction(self.hook):
            return await self.bulkhead.run(self.hook, request, password)
        try:
            async with asyncio.timeout(self.seconds), self.at_once:
                return await self.hook(request, password)
        except TimeoutError:
            raise Unavailable(f"hook did not answer in {self.seconds:g} s") from None

    async def close(self) -> None:
        """See PasswordChecker."""
        self.bulkhead.close()


def open_method(rule: PythonRule, parts: Parts) -> LoginMethod:
    """See MethodModule."""
    del parts
    bulkhead = Bulkhead("hook", threads=rule.concurrency, seconds=rule.timeout)
    at_once = asyncio.Semaphore(rule.concurrency)
    return PasswordMethod(PythonHook(find_hook(rule.function), bulkhead, rule.timeout, at_once))
