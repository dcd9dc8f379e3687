"""Parameters are read as PostgreSQL reads them, or refused as it refuses them."""

from __future__ import annotations

import datetime
import struct
import uuid
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxy.rows.errors import NeedsServer, ParameterError
from proxy.rows.parameters import decode_parameter
from proxy.rows.settings import TextSettings
from tests.rows.support import (
    BINARY,
    DEFAULTS,
    KINDS,
    TEXT,
    Kind,
    Server,
    ServerError,
    encoded,
    tries,
)
from tests.rows.test_values import BY_NAME, array_of

UNSUPPORTED = "0A000"
UTC = datetime.UTC


def outcome(data: bytes, type_name: str, form: int, settings: TextSettings) -> object:
    """The value, or the SQLSTATE of the refusal."""
    try:
        return comparable(decode_parameter(data, type_name, form, settings))
    except ParameterError as error:
        return f"error {error.sqlstate}"


def comparable(value: object) -> object:
    """NaN equals itself, and the number of decimal places counts."""
    if isinstance(value, list):
        return [comparable(one) for one in value]
    return (type(value), str(value)) if isinstance(value, float | Decimal) else value


def compare(server: Server, data: bytes, type_name: str, settings: TextSettings = DEFAULTS) -> None:
    """Text that is read here has PostgreSQL's value; what PostgreSQL refuses is not read here."""
    server.apply(settings)
    ours = outcome(data, type_name, TEXT, settings)
    if ours != f"error {UNSUPPORTED}":
        assert ours == theirs(server, data, type_name, TEXT, settings)


def theirs(
    server: Server, data: bytes, type_name: str, form: int, settings: TextSettings = DEFAULTS
) -> object:
    """PostgreSQL's value, by way of the format that the parameter does not have."""
    try:
        sent = server.run("SELECT $1", [data], [type_name], form, 1 - form)[0][0]
    except ServerError as error:
        return f"error {error.sqlstate}"
    assert sent is not None
    return outcome(sent, type_name, 1 - form, settings)


NUMBERS = st.one_of(
    st.from_regex(r"\A[ \n]?[+-]?[0-9_]{1,12}(\.[0-9]{0,4})?(e[+-]?[0-9]{1,3})?[ \n]?\Z"),
    st.from_regex(r"\A[+-]?0[xob][0-9a-f_]{1,6}\Z"),
    st.sampled_from(
        ["NaN", "-NaN", " inf", "Infinity", "-infinity", "+inf", "", " ", "1e", ".5", "."]
    ),
    st.sampled_from(["32768", "-32769", "2147483648", "9223372036854775808", "1e400", "1e-400"]),
    st.sampled_from(["1e39", "1e-46", "16777217", "16777219.0000001", "1_000", "1__0", "1e20000"]),
)
DATES = st.from_regex(r"\A[0-9]{4}[-/][01]?[0-9]-[0-3]?[0-9]( BC| AD)?\Z") | st.from_regex(
    r"\A(19|20)[0-9]{2}(0[0-9]|1[0-3])[0-3][0-9]\Z"
)
CLOCKS = st.from_regex(
    r"\A[0-2]?[0-9]:[0-6][0-9](:[0-6][0-9](\.[0-9]{0,8})?)?( ?[ap]m)?\Z"
) | st.from_regex(r"\A[0-2][0-9][0-5][0-9][0-6][0-9](\.[0-9]{1,3})?\Z")
ZONES = st.one_of(
    st.just(""),
    st.from_regex(r"\A ?[+-][01]?[0-9](:?[0-6][0-9](:[0-5][0-9])?)?\Z"),
    st.sampled_from(["Z", " UTC", "z", " America/New_York", " Europe/Paris", " EST", "GMT"]),
)
MOMENTS = st.builds(
    lambda *parts: "".join(parts), DATES, st.sampled_from([" ", "T"]), CLOCKS, ZONES
)
INTERVALS = st.one_of(
    st.lists(
        st.from_regex(
            r"\A[+-]?[0-9]{1,3} ?(year|yrs|mons?|week|d|days|hours?|h|mins?|sec|s|us|ms)\Z"
        ),
        max_size=4,
    ).map(" ".join),
    st.from_regex(r"\A([0-9]+ days )?[+-]?[0-9]{1,3}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?( ago)?\Z"),
    st.from_regex(
        r"\AP([0-9]Y)?(-?[0-9]M)?([0-9]W)?([0-9]D)?(T([0-9]H)?([0-9]M)?(-?[0-9](\.[0-9])?S)?)?\Z"
    ),
)
ARRAYS = st.text('{},"\\ aN1\n', max_size=10).map(lambda text: "{" + text + "}") | st.text(
    '{},"\\ a', max_size=6
)
TEXTS: dict[str, st.SearchStrategy[str]] = {
    "bool": st.sampled_from(
        [
            "t",
            " tr ",
            "true",
            "TRUE",
            "y",
            "yes",
            "on",
            "o",
            "of",
            "off",
            "n",
            "no",
            "f",
            "1",
            "0",
            "2",
            "maybe",
            "",
        ]
    ),
    **dict.fromkeys(("int2", "int4", "int8", "oid", "float4", "float8", "numeric"), NUMBERS),
    "date": DATES | MOMENTS,
    "time": CLOCKS | st.builds(str.__add__, CLOCKS, ZONES),
    "timetz": st.builds(str.__add__, CLOCKS, ZONES),
    "timestamp": DATES | MOMENTS,
    "timestamptz": DATES | MOMENTS,
    "interval": INTERVALS,
    "uuid": st.uuids().map(str)
    | st.from_regex(r"\A\{?[0-9A-F]{8}-?[0-9a-f]{4}-?[0-9a-f]{20}\}?\Z"),
    "bytea": st.text("\\x0189aF g\n", max_size=8)
    | st.text("\\x0189aF ", max_size=6).map("\\x".__add__),
    "_text": ARRAYS,
    "_int4": ARRAYS,
    "json": st.text('{}[]":,1a-.e \\unl\n', max_size=8)
    | st.sampled_from(["NaN", "1e5", "-0", '"\\u0000"', "tru"]),
    "name": st.text("aé", max_size=70),
}


@pytest.mark.parametrize("type_name", TEXTS)
def test_text_as_postgresql(server: Server, type_name: str) -> None:
    @tries(150)
    @given(TEXTS[type_name])
    def same(text: str) -> None:
        compare(server, text.encode(), type_name)

    same()


@pytest.mark.parametrize("zone", ["America/New_York", "Australia/Lord_Howe", "Europe/Dublin"])
def test_local_times(server: Server, zone: str) -> None:
    settings = TextSettings(time_zone=zone)
    minutes = st.integers(0, 54 * 525_960).map(
        lambda minute: datetime.datetime(1970, 1, 1) + datetime.timedelta(minutes=minute)
    )

    @tries(150)
    @given(minutes)
    @example(datetime.datetime(2013, 3, 10, 2, 30))
    @example(datetime.datetime(2013, 11, 3, 1, 30))
    @example(datetime.datetime(2013, 4, 7, 1, 45))
    @example(datetime.datetime(2013, 10, 6, 2, 15))
    @example(datetime.datetime(2013, 10, 27, 1, 30))
    @example(datetime.datetime(2013, 3, 31, 1, 30))
    def same(moment: datetime.datetime) -> None:
        compare(server, str(moment).encode(), "timestamptz", settings)

    same()


@pytest.mark.parametrize(
    "data", [b"\xff", b"a\0b", b"\xc3(", b"\xe2\x82", b"ab\xf0\x9f\x98", b"\xed\xa0\x80"]
)
def test_bad_utf8(server: Server, data: bytes) -> None:
    with pytest.raises(ParameterError) as ours:
        decode_parameter(data, "text", BINARY)
    with pytest.raises(ServerError) as theirs:
        server.run("SELECT $1", [data], ["text"], BINARY, TEXT)
    assert str(theirs.value).split("ERROR:  ")[1].split("\n")[0] == ours.value.message
    assert ours.value.sqlstate == theirs.value.sqlstate == "22021"


UNDERSTOOD = [
    ("bool", " TRUE ", True),
    ("int4", " 42 ", 42),
    ("int8", "0x7f", 127),
    ("float8", "-Infinity", float("-inf")),
    ("float4", "0.1", struct.unpack("f", struct.pack("f", 0.1))[0]),
    ("numeric", "1.50", Decimal("1.50")),
    ("date", "2013-01-02", datetime.date(2013, 1, 2)),
    ("date", "20130102", datetime.date(2013, 1, 2)),
    ("date", "2013-01-02T00:00:00.000Z", datetime.date(2013, 1, 2)),
    ("time", "10:20", datetime.time(10, 20)),
    (
        "timetz",
        "10:20+02",
        datetime.time(10, 20, tzinfo=datetime.timezone(datetime.timedelta(hours=2))),
    ),
    ("timestamp", "2013-01-02 03:04:05.6", datetime.datetime(2013, 1, 2, 3, 4, 5, 600_000)),
    ("timestamptz", "2013-01-02 03:04:05-05", datetime.datetime(2013, 1, 2, 8, 4, 5, tzinfo=UTC)),
    ("timestamptz", "2013-01-02", datetime.datetime(2013, 1, 2, tzinfo=UTC)),
    ("timestamptz", "2013-07-02 00:00 Europe/Rome", datetime.datetime(2013, 7, 1, 22, tzinfo=UTC)),
    ("interval", "1 year 2 mons -3 days +04:05:06.7", "1 year 2 mons -3 days +04:05:06.7"),
    ("interval", "P1DT2H", "1 day 02:00:00"),
    ("interval", "@ 1 day 2 hours ago", "-1 days -02:00:00"),
    (
        "uuid",
        "{A0EEBC99-9c0b4ef8-bb6d6bb9-bd380a11}",
        uuid.UUID("a0eebc999c0b4ef8bb6d6bb9bd380a11"),
    ),
    ("bytea", "\\x 01ff", b"\x01\xff"),
    ("bytea", "a\\\\b\\001", b"a\\b\x01"),
    ("_int4", "{1,NULL, 3}", [1, None, 3]),
    ("_text", '{"a b","\\"",NULL,"NULL",x y }', ["a b", '"', None, "NULL", "x y"]),
    ("_date", "{2013-01-02}", [datetime.date(2013, 1, 2)]),
    ("_text", "{}", []),
    ("json", '{"b":1, "a":  [1.50]}', '{"b":1, "a":  [1.50]}'),
    ("jsonb", '{"a": [1]}', '{"a": [1]}'),
    (
        "jsonb",
        ' {"bb":[1,2.50,1e2, -0.0],\n"a" : "\\u00e9\\n", "a":null}',
        '{"a": null, "bb": [1, 2.50, 100, 0.0]}',
    ),
    ("jsonb", '{"b":{},"a":"\\u00e9\\u0001\\/"}', '{"a": "é\\u0001/", "b": {}}'),
]


@pytest.mark.parametrize(("type_name", "text", "value"), UNDERSTOOD)
def test_understood(type_name: str, text: str, value: object) -> None:
    assert decode_parameter(text.encode(), type_name, TEXT) == value


LONG_NUMBERS = ("1e-16383", "1e-16384", "0e-16384", "0e200000", "1e131071", "1e131072")


@pytest.mark.parametrize(
    "number", [*LONG_NUMBERS, "-1e99999999999999999999", "1e-99999999999999999"]
)
def test_long_numbers_of_documents(server: Server, number: str) -> None:
    compare(server, f"[{number}]".encode(), "jsonb")


@pytest.mark.parametrize("depth", [500, 100_000])
def test_deep_documents_are_refused(depth: int) -> None:
    with pytest.raises(ParameterError) as error:
        decode_parameter(b"[" * depth + b"]" * depth, "jsonb", TEXT)
    assert error.value.sqlstate == "54001"


@pytest.mark.parametrize("text", ["yesterday", "Jan 5 2013", "01/02/2013", "2013-01-02 10:00 EST"])
def test_left_to_the_server(text: str) -> None:
    with pytest.raises(NeedsServer) as error:
        decode_parameter(text.encode(), "timestamptz", TEXT)
    assert error.value.sqlstate == UNSUPPORTED


def test_null_is_none() -> None:
    assert decode_parameter(None, "int4", BINARY) is None


@pytest.mark.parametrize("form", [TEXT, BINARY])
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_round_trip(kind: Kind, form: int) -> None:
    """What the encoder writes is read back as the same value."""

    @tries(40)
    @given(kind.values)
    def back(value: object) -> None:
        (data,) = encoded(kind.type_name, kind.array([value]), form)
        same = outcome(kind.parameter(value), kind.type_name, kind.form, DEFAULTS)
        if same == f"error {UNSUPPORTED}":
            return
        assert outcome(data or b"", kind.type_name, form, DEFAULTS) == same
        (many,) = encoded(f"_{kind.type_name}", array_of(kind, [[value, None]]), form)
        assert outcome(many or b"", f"_{kind.type_name}", form, DEFAULTS) == [same, None]

    back()


@pytest.mark.parametrize(
    "type_name", sorted({kind.type_name for kind in KINDS} | {"timetz", "_int4", "_text"})
)
def test_binary_as_postgresql(server: Server, type_name: str) -> None:
    """Bytes at random, and cut or longer values, are refused or read as PostgreSQL does."""
    server.apply(DEFAULTS)
    kind = BY_NAME.get(type_name)
    spoiled = st.binary(max_size=24)
    if kind is not None:
        good = kind.values.map(
            lambda value: encoded(type_name, kind.array([value]), BINARY)[0] or b""
        )
        spoiled |= st.builds(
            lambda data, cut: (data + b"\0")[: len(data) + 1 - cut], good, st.integers(0, 3)
        )

    @tries(60)
    @given(spoiled)
    def same(data: bytes) -> None:
        ours = outcome(data, type_name, BINARY, DEFAULTS)
        if ours != f"error {UNSUPPORTED}":
            assert ours == theirs(server, data, type_name, BINARY)

    same()
