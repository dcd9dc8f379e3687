"""Our protocol tables against those of buenavista."""

from typing import get_args

import pytest

from proxy import bv_bridge
from proxy.wire import backend, frontend
from proxy.wire.oids import TYPES

ANOTHER_NAME = {
    "AuthenticationRequest": "AuthenticationOk",
    "PasswordMessage": "AuthenticationResponse",
}
TYPE_NAMES = {
    "bigint": "int8",
    "bool": "bool",
    "bytes": "bytea",
    "date": "date",
    "decimal": "numeric",
    "float": "float8",
    "integer": "int4",
    "integerarray": "_int4",
    "interval": "interval",
    "json": "json",
    "stringarray": "_text",
    "text": "text",
    "time": "time",
    "timestamp": "timestamp",
}


@pytest.mark.parametrize(("name", "code"), sorted(bv_bridge.response_codes().items()))
def test_backend_codes(name: str, code: int) -> None:
    assert getattr(backend, ANOTHER_NAME.get(name, name)).code == code


@pytest.mark.parametrize(("name", "code"), sorted(bv_bridge.command_codes().items()))
def test_frontend_codes(name: str, code: int) -> None:
    assert getattr(frontend, ANOTHER_NAME.get(name, name)).code == code


def test_transaction_states() -> None:
    states = bv_bridge.transaction_states()
    assert states == {"idle": "I", "in_transaction": "T", "in_failed_transaction": "E"}
    assert set(states.values()) == set(get_args(backend.Status))


@pytest.mark.parametrize(
    ("name", "oid"), sorted(each for each in bv_bridge.type_oids().items() if each[0] != "array")
)
def test_type_oids(name: str, oid: int) -> None:
    assert TYPES[TYPE_NAMES[name]].oid == oid
