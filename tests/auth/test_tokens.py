"""Tokens that must not log anybody in, and the keys they are signed with."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import http.server
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import assume, given
from hypothesis import strategies as st

from proxy.auth.algorithms import ASYMMETRIC
from proxy.auth.bulkhead import Bulkhead, Unavailable
from proxy.auth.grants import Grants
from proxy.auth.identity_map import IdentityMap
from proxy.auth.keys import FileKeys, KeysError, KeySource, SharedSecret, UrlKeys, parse_keys
from proxy.auth.method import Refused
from proxy.auth.methods.jwt import Claims, Tokens
from proxy.auth.request import LoginRequest
from proxy.auth.web import Endpoint

ISSUER, AUDIENCE = "https://idp.example", "cubewire"
RSA = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()
STRANGER = rsa.generate_private_key(65537, 2048)
ALL = Claims(
    groups="realm_access.groups",
    roles="https://example.org/roles",
    tenant="org",
    act_as="may_act",
    attributes={"region": "address.region", "level": "level"},
)


def jwk(key: Any, **more: Any) -> dict[str, Any]:
    algorithms = jwt.algorithms.get_default_algorithms()
    name = {"RSAPrivateKey": "RS256", "ECPrivateKey": "ES256", "Ed25519PrivateKey": "EdDSA"}
    kind = next(value for text, value in name.items() if text in type(key).__name__)
    return {**algorithms[kind].to_jwk(key.public_key(), as_dict=True), **more}


def key_set(*keys: dict[str, Any]) -> bytes:
    return json.dumps({"keys": keys}).encode()


SET = key_set(jwk(RSA, kid="r"), jwk(EC, kid="e", alg="ES256"), jwk(ED, kid="d", use="sig"))


@pytest.fixture
def keys(tmp_path: Path) -> FileKeys:
    path = tmp_path / "keys.json"
    path.write_bytes(SET)
    return FileKeys(path)


def tokens(keys: KeySource, claims: Claims | None = None, **options: Any) -> Tokens:
    return Tokens(
        keys,
        options.pop("algorithms", frozenset(ASYMMETRIC)),
        [ISSUER],
        [AUDIENCE, "other"],
        claims or Claims(),
        options.pop("users", IdentityMap()),
        options.pop("skew", 30.0),
        **options,
    )


def claims(**changed: Any) -> dict[str, Any]:
    made = {"iss": ISSUER, "aud": AUDIENCE, "sub": "anna", "exp": time.time() + 60, **changed}
    return {name: value for name, value in made.items() if value is not None}


def signed(key: Any = RSA, algorithm: str = "RS256", header: Any = None, **changed: Any) -> str:
    return jwt.encode(claims(**changed), key, algorithm, headers=header or {"kid": "r"})


def raw(header: dict[str, Any], payload: Any, sign: Callable[[bytes], bytes]) -> str:
    """A token made by hand, for what no library would sign."""

    def part(data: bytes) -> bytes:
        return base64.urlsafe_b64encode(data).rstrip(b"=")

    text = payload if isinstance(payload, str) else json.dumps(payload)
    signing = part(json.dumps(header).encode()) + b"." + part(text.encode())
    return (signing + b"." + part(sign(signing))).decode()


def signature(key: rsa.RSAPrivateKey) -> Callable[[bytes], bytes]:
    return lambda data: jwt.algorithms.RSAAlgorithm(jwt.algorithms.RSAAlgorithm.SHA256).sign(
        data, key
    )


def check(checker: Tokens, token: str, user: str = "anna") -> Grants:
    return asyncio.run(checker.check(LoginRequest(user, encrypted=True), token))


def refusal(checker: Tokens, token: str, user: str = "anna") -> Refused:
    with pytest.raises(Refused) as caught:
        check(checker, token, user)
    assert caught.value.counts
    return caught.value


@pytest.mark.parametrize(
    ("key", "algorithm", "kid"),
    [(RSA, "RS256", "r"), (RSA, "PS384", "r"), (EC, "ES256", "e"), (ED, "EdDSA", "d")],
)
def test_good(keys: FileKeys, key: Any, algorithm: str, kid: str) -> None:
    exp = time.time() + 60
    token = signed(key, algorithm, {"kid": kid}, exp=exp, aud=["x", AUDIENCE])
    assert check(tokens(keys), token).expires == pytest.approx(exp + 30)
    assert check(tokens(keys), signed(key, algorithm, {"typ": "at+jwt"})) is not None


def test_claims_become_grants(keys: FileKeys) -> None:
    token = signed(
        **{
            "realm_access": {"groups": ["analysts", "x"]},
            "https://example.org/roles": "reader",
            "org": "acme",
            "may_act": ["bert"],
            "address": {"region": "north"},
        }
    )
    grants = check(tokens(keys, ALL), token)
    assert grants.groups == {"analysts", "x"}
    assert (grants.roles, grants.act_as) == ({"reader"}, {"bert"})
    assert (grants.tenant, dict(grants.attributes.items)) == ("acme", {"region": "north"})
    # A client's choice of claims must not become anything that is not mapped.
    assert check(tokens(keys), token).groups == frozenset()


PUBLIC = RSA.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)


def hmac_with(secret: bytes) -> Callable[[bytes], bytes]:
    return lambda data: hmac.digest(secret, data, hashlib.sha256)


HEADER = {"alg": "RS256", "kid": "r"}
ATTACKS: dict[str, Callable[[], str]] = {
    "no token at all": lambda: "hunter2",
    "empty parts": lambda: "..",
    "alg none": lambda: raw({"alg": "none"}, claims(), lambda _: b""),
    "alg None in capitals": lambda: raw({"alg": "nOnE", "kid": "r"}, claims(), lambda _: b""),
    "alg missing": lambda: raw({"kid": "r"}, claims(), signature(RSA)),
    "alg no text": lambda: raw({"alg": ["RS256"]}, claims(), signature(RSA)),
    "HMAC with the public key": lambda: raw(
        {"alg": "HS256", "kid": "r"}, claims(), hmac_with(PUBLIC)
    ),
    "HMAC with the public key, called RSA": lambda: raw(HEADER, claims(), hmac_with(PUBLIC)),
    "RSA's name for an EC key": lambda: raw({"alg": "RS256", "kid": "e"}, claims(), signature(RSA)),
    "EC signature under RSA's kid": lambda: signed(EC, "ES256"),
    "another's key": lambda: signed(STRANGER),
    "another's key without kid": lambda: signed(STRANGER, header={"typ": "JWT"}),
    "another's key in the header": lambda: signed(
        STRANGER, header={"kid": "r", "jwk": jwk(STRANGER, kid="r")}
    ),
    "another's key at a URL": lambda: signed(
        STRANGER, header={"kid": "r", "jku": "https://evil.example/keys"}
    ),
    "kid that is a path": lambda: signed(header={"kid": "../../../dev/null"}),
    "kid that is SQL": lambda: signed(header={"kid": "r' UNION SELECT 'x"}),
    "kid that is no text": lambda: raw(
        {"alg": "RS256", "kid": {"$ne": 1}}, claims(), signature(RSA)
    ),
    "critical extension": lambda: raw({**HEADER, "crit": ["x"], "x": 1}, claims(), signature(RSA)),
    "unencoded payload": lambda: raw({**HEADER, "b64": False}, "", signature(RSA)),
    "type of another purpose": lambda: signed(header={"kid": "r", "typ": "logout+jwt"}),
    "cut signature": lambda: signed()[:-10],
    "no signature": lambda: signed().rpartition(".")[0] + ".",
    "changed payload": lambda: (
        signed().split(".")[0]
        + "."
        + signed(sub="bert").split(".")[1]
        + "."
        + signed().split(".")[2]
    ),
    "wrong issuer": lambda: signed(iss="https://evil.example"),
    "issuer that begins right": lambda: signed(iss=ISSUER + ".evil"),
    "issuer missing": lambda: signed(iss=None),
    "issuer no text": lambda: raw(HEADER, claims(iss=[ISSUER]), signature(RSA)),
    "wrong audience": lambda: signed(aud="another"),
    "audience missing": lambda: signed(aud=None),
    "audience empty": lambda: signed(aud=[]),
    "expired": lambda: signed(exp=time.time() - 31),
    "exp missing": lambda: signed(exp=None),
    "exp text": lambda: signed(exp="9999999999"),
    "exp true": lambda: signed(exp=True),
    "exp infinite": lambda: raw(
        HEADER, json.dumps(claims()).replace('"exp": ', '"exp": 1e999, "was": '), signature(RSA)
    ),
    "exp not a number": lambda: raw(
        HEADER, json.dumps(claims()).replace('"exp": ', '"exp": NaN, "was": '), signature(RSA)
    ),
    "exp beyond all numbers": lambda: signed(exp=10**400),
    "exp of many digits": lambda: raw(
        HEADER,
        json.dumps(claims()).replace('"exp": ', f'"exp": {"9" * 5000}, "was": '),
        signature(RSA),
    ),
    "not yet": lambda: signed(nbf=time.time() + 120),
    "issued in the future": lambda: signed(iat=time.time() + 120),
    "somebody else's": lambda: signed(sub="bert"),
    "nobody's": lambda: signed(sub=None),
    "no text for a user": lambda: raw(HEADER, claims(sub=["anna"]), signature(RSA)),
    "payload that is a list": lambda: raw(HEADER, [claims()], signature(RSA)),
    "payload nested deeply": lambda: raw(HEADER, "[" * 5000 + "]" * 5000, signature(RSA)),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_attacks(keys: FileKeys, name: str) -> None:
    token = ATTACKS[name]()
    reason = refusal(tokens(keys), token).reason
    assert token not in reason


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"realm_access": {"groups": [1]}, "org": "a"}, "groups"),
        ({"realm_access": {"groups": ["*"]}, "org": "a"}, "groups"),
        ({"org": ["a", "b"]}, "tenant"),
        ({}, "the tenant's claim is missing"),
    ],
)
def test_claims_of_another_kind(keys: FileKeys, changed: dict[str, Any], complaint: str) -> None:
    assert complaint in refusal(tokens(keys, ALL), signed(**changed)).reason


def test_options(keys: FileKeys) -> None:
    strict = tokens(keys, required=("nbf",), algorithms=frozenset({"ES256"}))
    assert "not accepted" in refusal(strict, signed()).reason
    assert "Missing" in refusal(strict, signed(EC, "ES256", {"kid": "e"})).reason
    assert check(strict, signed(EC, "ES256", {"kid": "e"}, nbf=time.time()))
    mail = tokens(keys, Claims(user="email"), users=IdentityMap.of(r"(.*)@example\.org", {}))
    assert check(mail, signed(email="anna@example.org"))
    assert "somebody else" in refusal(mail, signed(email="anna@evil.example")).reason
    exact = tokens(keys, skew=0.0)
    assert "Expired" in refusal(exact, signed(exp=time.time() - 1)).reason


def test_shared_secret() -> None:
    secret = b"s" * 32
    shared = tokens(SharedSecret(secret), algorithms=frozenset({"HS256"}))
    token = jwt.encode(claims(), secret, "HS256", headers={"kid": "whatever"})
    assert check(shared, token)
    assert "signature" in refusal(shared, jwt.encode(claims(), b"t" * 32, "HS256")).reason
    assert "not accepted" in refusal(shared, signed()).reason


@given(st.text(max_size=300), st.integers(0, 3))
def test_any_text_only_ever_fails(text: str, place: int) -> None:
    """Also in place of one part of a good token, so that the others are looked at."""
    checker = tokens(SharedSecret(b"s" * 32), algorithms=frozenset({"HS256"}))
    parts = jwt.encode(claims(), b"s" * 32, "HS256").split(".")
    if place < len(parts):
        assume(text != parts[place])
        parts[place] = text
    with pytest.raises(Refused):
        check(checker, ".".join(parts) if place < 3 else text)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=8,
    ),
    st.sampled_from(["exp", "iss", "aud", "sub", "nbf", "iat", "jti", "org", "may_act", "level"]),
)
def test_any_claim_only_ever_fails_or_is_read(value: Any, name: str) -> None:
    secret = b"s" * 32
    checker = tokens(SharedSecret(secret), ALL, algorithms=frozenset({"HS256"}))
    token = raw({"alg": "HS256"}, {"org": "acme", **claims(), name: value}, hmac_with(secret))
    with contextlib.suppress(Refused):
        grants = check(checker, token)
        assert grants.tenant
        assert grants.expires is not None
        assert grants.expires > time.time()


def test_a_token_costs_little(keys: FileKeys) -> None:
    """Before a login nothing may cost 50 ms of processor time, whatever is sent."""
    checker = tokens(keys)
    dear = [signed(), signed(header={"typ": "JWT"}), "A" * 16_000 + "." + "B" * 100 + ".C"]
    dear.append(raw(HEADER, json.dumps({"a": [{}] * 3000}), signature(RSA)))
    for token in dear:
        started = time.process_time()
        with contextlib.suppress(Refused):
            check(checker, token)
        assert time.process_time() - started < 0.05


# ----------------------------------------------------------------------------------- keys


def test_what_is_no_public_signature_key_is_left_out() -> None:
    weak = jwk(rsa.generate_private_key(65537, 1024))
    private = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(RSA))
    left_out = [
        weak,
        {"kty": "oct", "k": "c2VjcmV0"},
        jwk(RSA, use="enc"),
        jwk(RSA, key_ops=["encrypt"]),
        jwk(RSA, alg="ES256"),
        jwk(RSA, kid=7),
        {"kty": ["RSA"]},
        {**jwk(EC), "x": "AAAA"},
        {**jwk(EC), "crv": "secp256k1"},
        {"kty": "RSA"},
        "x",
    ]
    found = parse_keys(key_set(*left_out, {**private, "kid": "p", "key_ops": ["verify"]}))
    assert [key.kid for key in found] == ["p"]
    assert isinstance(found[0].key, rsa.RSAPublicKey)
    for data in (b"", b"[]", b'{"keys": 1}', key_set(weak), key_set(*[{}] * 101), b"[" * 10_000):
        with pytest.raises(KeysError):
            parse_keys(data)


def test_a_file_is_read_again(keys: FileKeys, tmp_path: Path) -> None:
    checker = tokens(keys)
    path = tmp_path / "keys.json"
    path.write_bytes(key_set(jwk(STRANGER, kid="r")))
    assert check(checker, signed(STRANGER))
    refusal(checker, signed())
    path.write_text("oops")
    assert check(checker, signed(STRANGER))
    with pytest.raises(KeysError):
        FileKeys(path)


class KeyServer(http.server.ThreadingHTTPServer):
    """A real server whose answer can be changed."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer: tuple[int, bytes] = (200, SET)
        self.asked = 0
        self.pause = 0.0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/keys"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: KeyServer

    def do_GET(self) -> None:
        self.server.asked += 1
        status, body = self.server.answer
        if status == 302:
            self.send_response(302)
            self.send_header("Location", "/keys")
            self.end_headers()
            return
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        for byte in body if self.server.pause else ():
            time.sleep(self.server.pause)
            try:
                self.wfile.write(bytes([byte]))
            except OSError:
                return
        if not self.server.pause:
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def key_server() -> Iterator[KeyServer]:
    server = KeyServer()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def url_keys(server: KeyServer, clock: Callable[[], float], seconds: float = 2.0) -> UrlKeys:
    endpoint = Endpoint.open(server.url, ca=None, seconds=seconds)
    return UrlKeys(endpoint, Bulkhead("keys", threads=1, seconds=seconds), 300.0, clock)


async def test_a_url_is_asked_now_and_then(key_server: KeyServer) -> None:
    now = [0.0]
    keys = url_keys(key_server, lambda: now[0])
    # Many at once are one request.
    found = await asyncio.gather(*(keys.find("r", "RS256") for _ in range(20)))
    assert [len(each) for each in found] == [1] * 20
    assert key_server.asked == 1
    # Made-up kids ask again, but not more than once in ten seconds.
    for _ in range(20):
        assert await keys.find("new", "RS256") == []
    assert key_server.asked == 1
    now[0] = 11
    key_server.answer = (200, key_set(jwk(RSA, kid="new")))
    assert len(await keys.find("new", "RS256")) == 1
    assert await keys.find("r", "RS256") == []
    assert key_server.asked == 2
    # Keys that cannot be had again stay good for an hour.
    key_server.answer = (500, b"")
    now[0] = 400
    assert len(await keys.find("new", "RS256")) == 1
    assert key_server.asked == 3
    now[0] = 3700
    with pytest.raises(Unavailable):
        await keys.find("new", "RS256")
    await keys.close()


@pytest.mark.parametrize("answer", [(404, SET), (302, b""), (200, b"x"), (200, b" " * 2_000_000)])
async def test_no_answer_lets_nobody_in_and_counts_for_nobody(
    key_server: KeyServer, answer: tuple[int, bytes]
) -> None:
    key_server.answer = answer
    checker = tokens(url_keys(key_server, lambda: 0.0))
    with pytest.raises(Refused) as caught:
        await checker.check(LoginRequest("anna", encrypted=True), signed())
    assert not caught.value.counts
    await checker.close()


async def test_an_answer_in_drops_is_cut_off(key_server: KeyServer) -> None:
    key_server.pause = 0.05
    keys = url_keys(key_server, time.monotonic, seconds=0.5)
    started = time.monotonic()
    with pytest.raises(Unavailable):
        await keys.find("r", "RS256")
    # The thread is free again too, which the next question needs.
    key_server.pause = 0.0
    keys._tried_at = None
    assert await keys.find("r", "RS256")
    assert time.monotonic() - started < 5
    await keys.close()
