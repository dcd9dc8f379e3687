"""Every type's text and binary form equals PostgreSQL's, byte for byte."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.rows.settings import TextSettings
from tests.rows.support import BINARY, DEFAULTS, INSTANTS, KINDS, TEXT, Kind, Server, encoded, tries

pytestmark = pytest.mark.timeout(60)
BY_NAME = {kind.type_name: kind for kind in KINDS}


def check(
    server: Server,
    kind: Kind,
    values: list[object],
    form: int,
    settings: TextSettings = DEFAULTS,
) -> None:
    parameters = [None if value is None else kind.parameter(value) for value in values]
    expected = server.values(kind.type_name, parameters, kind.form, form, settings)
    assert encoded(kind.type_name, kind.array(values), form, settings) == expected


def columns(kind: Kind) -> st.SearchStrategy[list[object]]:
    return st.one_of(
        st.lists(kind.values, max_size=8), st.lists(st.none() | kind.values, max_size=8)
    )


@pytest.mark.parametrize("form", [TEXT, BINARY])
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_every_type(server: Server, kind: Kind, form: int) -> None:
    @tries(50)
    @given(columns(kind))
    def equal(values: list[object]) -> None:
        check(server, kind, values, form)

    equal()


def array_of(kind: Kind, lists: list[list[object] | None]) -> pa.Array:
    """Lists of the kind's values as an Arrow list array."""
    elements = kind.array([value for values in lists for value in values or ()])
    offsets = np.cumsum([0, *(len(values or ()) for values in lists)])
    mask = pa.array([values is None for values in lists], pa.bool_())
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), elements, mask=mask)


def array_from(server: Server, kind: Kind, values: list[object] | None, form: int) -> bytes | None:
    """PostgreSQL's bytes of an array that it puts together itself."""
    if values is None:
        return None
    names = ", ".join(f"${n + 1}" for n in range(len(values)))
    parameters = [None if value is None else kind.parameter(value) for value in values]
    types = [kind.type_name] * len(values)
    sql = f"SELECT ARRAY[{names}]::{kind.type_name}[]"
    return server.run(sql, parameters, types, kind.form, form)[0][0]


@pytest.mark.parametrize("form", [TEXT, BINARY])
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_arrays(server: Server, kind: Kind, form: int) -> None:
    server.apply(DEFAULTS)

    @tries(20)
    @given(st.lists(st.none() | st.lists(st.none() | kind.values, max_size=4), max_size=4))
    def equal(lists: list[list[object] | None]) -> None:
        expected = [array_from(server, kind, values, form) for values in lists]
        assert encoded(f"_{kind.type_name}", array_of(kind, lists), form) == expected

    equal()


@pytest.mark.parametrize("word", ["", "null", "NULL", "nulls", "a b", 'x"', "\\", "{", "é", "\v"])
def test_array_quotes(server: Server, word: str) -> None:
    server.apply(DEFAULTS)
    expected = array_from(server, BY_NAME["text"], [word, "x"], TEXT)
    assert encoded("_text", array_of(BY_NAME["text"], [[word, "x"]]), TEXT) == [expected]


@pytest.mark.parametrize(
    "zone",
    [
        "America/New_York",
        "Asia/Kolkata",
        "Africa/Monrovia",
        "Australia/Lord_Howe",
        "Europe/Dublin",
        "America/St_Johns",
        "Pacific/Apia",
        "<-05>+05",
        "<+0530>-05:30",
        "EST5EDT",
        "FOO-3:15",
        "FOO5BAR",
        "asia/tokyo",
    ],
)
def test_time_zones(server: Server, zone: str) -> None:
    settings = TextSettings(time_zone=zone)

    @tries(60)
    @given(st.lists(INSTANTS, max_size=8))
    def equal(values: list[object]) -> None:
        check(server, BY_NAME["timestamptz"], values, TEXT, settings)

    equal()


@pytest.mark.parametrize("style", ["postgres", "postgres_verbose", "sql_standard", "iso_8601"])
def test_interval_styles(server: Server, style: str) -> None:
    settings = TextSettings(interval_style=style)
    kind = BY_NAME["interval"]

    @tries(100)
    @given(columns(kind))
    def equal(values: list[object]) -> None:
        check(server, kind, values, TEXT, settings)

    equal()


@pytest.mark.parametrize("digits", [-15, -3, 0, 1, 3])
@pytest.mark.parametrize("name", ["float4", "float8"])
def test_extra_float_digits(server: Server, name: str, digits: int) -> None:
    settings = TextSettings(extra_float_digits=digits)

    @tries(40)
    @given(columns(BY_NAME[name]))
    def equal(values: list[object]) -> None:
        check(server, BY_NAME[name], values, TEXT, settings)

    equal()


@pytest.mark.parametrize(
    "style", ["SQL, DMY", "SQL, MDY", "German, DMY", "Postgres, MDY", "Postgres, DMY"]
)
@pytest.mark.parametrize("name", ["date", "timestamp", "timestamptz"])
def test_date_styles(server: Server, name: str, style: str) -> None:
    settings = TextSettings(date_style=style, time_zone="America/New_York")

    @tries(25)
    @given(columns(BY_NAME[name]))
    def equal(values: list[object]) -> None:
        check(server, BY_NAME[name], values, TEXT, settings)

    equal()


def test_bytea_escape(server: Server) -> None:
    settings = TextSettings(bytea_output="escape")

    @tries(40)
    @given(columns(BY_NAME["bytea"]))
    def equal(values: list[object]) -> None:
        check(server, BY_NAME["bytea"], values, TEXT, settings)

    equal()
