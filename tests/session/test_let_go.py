"""An error that has been dealt with keeps nothing of what it went through."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from proxy.errors import let_go


class Held:
    """Stands for rows, a session, a connection."""


@pytest.fixture(autouse=True)
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def fail(held: Held, *, grouped: bool) -> None:
    try:
        first(held)
    except ValueError as error:
        kept = error  # a cycle: the traceback names this function, whose variable names the error
        if grouped:
            raise ExceptionGroup("several", [kept]) from None
        raise RuntimeError("second") from kept


def first(held: Held) -> None:
    problem = ValueError("first", len(held.__dict__))
    raise problem


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("dealt_with", [False, True])
def test_what_a_failing_function_held(grouped: bool, dealt_with: bool) -> None:
    def meet() -> weakref.ref[Held]:
        held = Held()
        seen = weakref.ref(held)
        try:
            fail(held, grouped=grouped)
        except (RuntimeError, ExceptionGroup) as error:
            if dealt_with:
                let_go(error)
        return seen

    assert (meet()() is None) == dealt_with


def test_an_error_that_is_its_own_context() -> None:
    error = ValueError()
    error.__context__ = RuntimeError()
    error.__context__.__context__ = error
    let_go(error)
