"""The transactional life of settings, against PostgreSQL's own by random sequences of commands."""

from __future__ import annotations

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.session.settings import Settings
from proxy.session.transaction import Transaction
from tests.support.oracle import OraclePostgres

NAMES = ("DateStyle", "extra_float_digits", "application_name")
VALUES = {
    "DateStyle": ("ISO, DMY", "ISO, YMD", "SQL, MDY"),
    "extra_float_digits": ("0", "2", "3"),
    "application_name": ("a", "b", "c"),
}

sets = st.sampled_from(NAMES).flatmap(
    lambda name: st.tuples(
        st.sampled_from(("SET", "SET LOCAL")), st.just(name), st.sampled_from(VALUES[name])
    )
)
commands = st.lists(
    st.one_of(
        sets,
        st.tuples(st.just("RESET"), st.sampled_from(NAMES), st.just("")),
        st.tuples(
            st.sampled_from(("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT s", "RELEASE s")),
            st.just(""),
            st.just(""),
        ),
        st.tuples(st.just("ROLLBACK TO s"), st.just(""), st.just("")),
    ),
    max_size=14,
)


def apply(transaction: Transaction, command: str, name: str, value: str) -> None:
    store = transaction.settings
    if command in ("SET", "SET LOCAL"):
        local = command == "SET LOCAL"
        if not local or transaction.in_block:
            store.set(name, value, local=local)
    elif command == "RESET":
        store.reset(name)
    elif command == "BEGIN":
        transaction.begin({})
    elif command == "COMMIT" and transaction.in_block:
        transaction.commit()
    elif command == "ROLLBACK" and transaction.in_block:
        transaction.rollback()
    elif command == "SAVEPOINT s":
        transaction.savepoint("s")
    elif command == "RELEASE s":
        transaction.release("s")
    elif command == "ROLLBACK TO s":
        transaction.rollback_to("s")


@settings(max_examples=150, deadline=None)
@given(steps=commands)
def test_settings_live_as_in_postgresql(oracle: OraclePostgres, steps: list[tuple[str, str, str]]):
    with psycopg.connect(oracle.dsn, autocommit=True, application_name="start") as connection:
        defaults = {
            name: connection.execute(f"SHOW {name}").fetchone()[0]  # type: ignore[index]
            for name in NAMES
        }
        store = Settings(defaults)
        transaction = Transaction(store)
        saved = 0
        for command, name, value in steps:
            text = f"{command} {name} = '{value}'" if value else f"{command} {name}"
            if command in ("RELEASE s", "ROLLBACK TO s") and not saved:
                continue
            if command == "SAVEPOINT s" and not transaction.in_block:
                continue
            connection.execute(text)
            apply(transaction, command, name, value)
            saved = transaction.nesting
            for known in NAMES:
                expected = connection.execute(f"SHOW {known}").fetchone()[0]  # type: ignore[index]
                assert store.get(known) == expected, (steps, command)


def test_reported_settings_are_told_once():
    store = Settings({"TimeZone": "UTC", "work_mem": "4MB"})
    assert store.reported() == {"TimeZone": "UTC"}
    store.set("timezone", "Europe/Rome", local=False)
    assert store.reported() == {"TimeZone": "Europe/Rome"}


def test_adopting_notices_changed_and_reset_values():
    store = Settings({"TimeZone": "UTC"}, startup={"TimeZone": "Asia/Tokyo"})
    store.set("work_mem", "8MB", local=False)
    store.adopt({"TimeZone": "Asia/Tokyo", "DateStyle": "ISO, DMY"}, local=False)
    assert store.get("DateStyle") == "ISO, DMY"
    assert store.get("work_mem") is None
    assert store.get("TimeZone") == "Asia/Tokyo"


@pytest.mark.parametrize("command", ["savepoint", "release", "rollback_to"])
def test_savepoints_need_a_block(command: str):
    transaction = Transaction(Settings({}))
    with pytest.raises(Exception, match="can only be used in transaction blocks"):
        getattr(transaction, command)("s")
