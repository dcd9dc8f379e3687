"""Parts of the catalog that need no server."""

from __future__ import annotations

import asyncio
import os
import stat
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.catalog import CatalogError, lockdown, protocol
from proxy.catalog.binaries import Binaries, Identity, find_postgres, reachable
from proxy.catalog.connection import DATA_ROW, ChildConnection, Message, decode_rows
from proxy.catalog.deploy import difference
from proxy.catalog.relations import Column, Key, Relation
from proxy.catalog.settings import (
    NO_PREAMBLE,
    custom_names,
    effect_of,
    preamble,
    relevant_to_types,
)
from proxy.wire.backend import CommandComplete, DataRow, ReadyForQuery

ROWS = b"".join(DataRow((str(n).encode(), None, b"")).encode() for n in range(5))
STREAM = ROWS + CommandComplete("SELECT 5").encode() + ReadyForQuery("I").encode()


async def received(pieces: list[bytes]) -> list[Message]:
    connection = ChildConnection()
    messages = []
    for piece in pieces:
        connection.data_received(piece)
        while connection._queue:
            messages.append(await connection.receive())
    return messages


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_messages_in_any_pieces(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(STREAM)]
    pieces = [STREAM[a:b] for a, b in pairwise(edges)]
    messages = asyncio.run(received(pieces))
    rows = [message for message in messages if message.kind == DATA_ROW]
    assert b"".join(message.body for message in rows) == ROWS
    assert sum(message.number for message in rows) == 5
    assert [row for message in rows for row in decode_rows(message.body)] == [
        (str(n), None, "") for n in range(5)
    ]
    assert [chr(message.kind) for message in messages][-2:] == ["C", "Z"]


async def test_whole_result_is_one_piece() -> None:
    messages = await received([STREAM])
    assert [(chr(message.kind), message.number) for message in messages] == [
        ("D", 5),
        ("C", 1),
        ("Z", 1),
    ]


@pytest.mark.parametrize(
    ("sql", "effect"),
    [
        ("SELECT 1", "none"),
        ("  -- c\n/* x */ ((select 1))", "none"),
        ("WITH a AS (SELECT 1) TABLE a", "none"),
        ("show all", "none"),
        ("EXPLAIN SELECT 1", "none"),
        ("SELECT set_config('a', 'b', false)", "settings"),
        ("SELECT Set_Config('a', 'b', false)", "settings"),
        ("SET a = b", "settings"),
        ("begin", "settings"),
        ("", "settings"),
        ("PREPARE a AS SELECT 1", "objects"),
        ("DISCARD ALL", "objects"),
        ("listen x", "objects"),
        ("§", "objects"),
    ],
)
def test_effect_of(sql: str, effect: str) -> None:
    assert effect_of(sql) == effect


def test_preamble() -> None:
    assert preamble({}, {}) == NO_PREAMBLE
    assert preamble({"a": "1"}, {"a": "1"}) == NO_PREAMBLE
    both = preamble(None, {"a": "x'\\y"})
    assert both.answers == 2
    assert both.data.startswith(protocol.query("DISCARD ALL"))
    assert b"set_config(E'a', E'x''\\\\y', false)" in both.data
    change = preamble({"a": "1", "b": "2"}, {"b": "3"})
    assert change.answers == 1
    assert b"set_config(E'a', NULL, false)" in change.data
    assert b"set_config(E'b', E'3', false)" in change.data
    assert preamble(None, {}).answers == 1


def test_settings_by_purpose() -> None:
    assert relevant_to_types({"TimeZone": "UTC", "application_name": "x"}) == {"timezone": "UTC"}
    assert custom_names("SET Cubewire.Note = 'a.b'") == {"cubewire.note", "a.b"}
    assert custom_names("SET a.b$1.c = x, 1.5, 'd.e' || f") == {"a.b$1.c", "d.e"}


@given(st.text(st.characters(exclude_categories=("Cs",)), max_size=20))
def test_literals_and_identifiers(value: str) -> None:
    inner = protocol.literal(value)[2:-1]
    assert inner.replace("''", "'").replace("\\\\", "\\") == value or "\\" in value
    assert protocol.identifier(value)[1:-1].replace('""', '"') == value


def test_error_fields() -> None:
    error = CatalogError.from_fields(
        {"S": "ERROR", "C": "42703", "M": "m", "P": "7", "F": "f.c", "L": "1", "R": "r", "W": "w"}
    )
    assert error.position == 7
    assert error.fields == {"S": "ERROR", "C": "42703", "M": "m", "P": "7", "W": "w"}
    assert error.moved(9).fields["P"] == "9"
    made = CatalogError("0A000", "m", detail="d", hint="h", position=3)
    assert made.fields == {
        "S": "ERROR",
        "V": "ERROR",
        "C": "0A000",
        "M": "m",
        "D": "d",
        "H": "h",
        "P": "3",
    }


def test_nothing_to_do_is_nothing_done() -> None:
    relation = Relation("a", "r", "c", (Column("x", "bigint", "k"),), (Key("a_pkey", "p", ("x",)),))
    assert difference({"a": relation}, {"a": relation}, "pg_catalog") == []


def test_configuration_is_quoted() -> None:
    lines = lockdown.configuration().splitlines()
    assert "fsync = 'off'" in lines
    assert "datestyle = 'iso, mdy'" in lines


def test_wheel_is_found() -> None:
    found = find_postgres()
    assert found.version.startswith("16.")
    assert os.access(found.program("initdb"), os.X_OK)


def test_installation_that_another_user_cannot_reach(tmp_path: Path) -> None:
    install = tmp_path / "closed" / "pg"
    (install / "bin").mkdir(parents=True)
    program = install / "bin" / "postgres"
    program.write_text("x")
    program.chmod(0o755)
    binaries = Binaries(install / "bin", "16.1")
    assert reachable(binaries, Identity(), tmp_path) is binaries
    nobody = Identity(65534, 65534)
    (tmp_path / "closed").chmod(0o700)
    assert not nobody.may_read(program)
    private = tmp_path / "private"
    private.mkdir()
    copied = reachable(binaries, nobody, private)
    assert copied.directory == private / "postgresql" / "bin"
    assert (copied.directory / "postgres").stat().st_mode & stat.S_IXOTH
