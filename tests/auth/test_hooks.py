"""Passwords that somebody else decides about: a web service, a function of the operator's."""

from __future__ import annotations

import asyncio
import http.server
import json
import ssl
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from proxy.auth.bulkhead import Bulkhead
from proxy.auth.certificate import self_signed
from proxy.auth.grants import Grants
from proxy.auth.method import Refused
from proxy.auth.methods.http import HttpHook
from proxy.auth.methods.python import HookError, PythonHook, find_hook
from proxy.auth.request import LoginRequest
from proxy.auth.web import Endpoint

REQUEST = LoginRequest("anna", "cubewire", "10.0.0.1", "app", encrypted=True)
PASSWORD = 'secret"\\ \N{SNOWMAN}'


class Service(http.server.ThreadingHTTPServer):
    """Says what it is told to, and remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status, self.body, self.pause = 200, b"{}", 0.0
        self.questions: list[tuple[str | None, Any]] = []
        self.now = self.most = 0


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Service

    def do_POST(self) -> None:
        service = self.server
        body = self.rfile.read(int(self.headers["Content-Length"]))
        service.questions.append((self.headers["Authorization"], json.loads(body)))
        service.now += 1
        service.most = max(service.most, service.now)
        time.sleep(service.pause)
        service.now -= 1
        self.send_response(service.status)
        self.send_header("Content-Length", str(len(service.body)))
        self.end_headers()
        self.wfile.write(service.body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def service() -> Iterator[Service]:
    made = Service()
    thread = threading.Thread(target=made.serve_forever, args=(0.01,))
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


def http_hook(
    service: Service, *, scheme: str = "http", ca: Path | None = None, seconds: float = 2.0
) -> HttpHook:
    url = f"{scheme}://127.0.0.1:{service.server_address[1]}/login?x=1"
    bulkhead = Bulkhead("hook", threads=3, seconds=seconds)
    return HttpHook(Endpoint.open(url, ca=ca, seconds=seconds), bulkhead, "bearer-secret")


def check(hook: HttpHook | PythonHook) -> Grants:
    async def run() -> Grants:
        try:
            return await hook.check(REQUEST, PASSWORD)
        finally:
            await hook.close()

    return asyncio.run(run())


def refusal(hook: HttpHook | PythonHook) -> Refused:
    with pytest.raises(Refused) as caught:
        check(hook)
    assert "secret" not in caught.value.reason
    return caught.value


def test_question_and_answer(service: Service) -> None:
    service.body = json.dumps(
        {"user": "anna", "groups": ["g"], "attributes": {"a": [1]}, "tenant": "t", "expires": 5}
    ).encode()
    grants = check(http_hook(service))
    assert (grants.groups, grants.tenant, grants.expires) == ({"g"}, "t", 5)
    assert service.questions == [
        (
            "Bearer bearer-secret",
            {
                "user": "anna",
                "password": PASSWORD,
                "database": "cubewire",
                "address": "10.0.0.1",
                "application": "app",
                "tls": True,
            },
        )
    ]


@pytest.mark.parametrize(
    ("status", "body", "counts"),
    [
        (401, b"{}", True),
        (403, b"{}", True),
        (404, b"{}", True),
        (200, b'{"user": "bert"}', True),
        (204, b"", False),
        (301, b"{}", False),
        (500, b"{}", False),
        (200, b"", False),
        (200, b"null", False),
        (200, b"[]", False),
        (200, b"true", False),
        (200, b'{"groups": "*"}', False),
        (200, b'{"admin": true}', False),
        (200, b'{"expires": Infinity}', False),
        (200, b"[" * 100_000, False),
        (200, b"x" * 1_100_000, False),
    ],
)
def test_whatever_is_no_yes_is_no(service: Service, status: int, body: bytes, counts: bool) -> None:
    service.status, service.body = status, body
    assert refusal(http_hook(service)).counts is counts


def test_nobody_there_and_too_slow(service: Service) -> None:
    service.pause = 60.0
    started = time.monotonic()
    assert not refusal(http_hook(service, seconds=0.2)).counts
    assert time.monotonic() - started < 30
    gone = http_hook(service)
    service.server_close()
    assert not refusal(gone).counts


async def test_at_most_so_many_questions_at_once(service: Service) -> None:
    service.pause = 0.2
    hook = http_hook(service)
    await asyncio.gather(*(hook.check(REQUEST, PASSWORD) for _ in range(9)))
    await hook.close()
    assert service.most == 3


def test_tls_is_verified(service: Service, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    certificate, key = self_signed(tmp_path / "own", ("127.0.0.1",), now)
    other, _ = self_signed(tmp_path / "other", ("127.0.0.1",), now)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    service.socket = context.wrap_socket(service.socket, server_side=True)
    service.handle_error = lambda *_: None  # type: ignore[method-assign, assignment]
    assert check(http_hook(service, scheme="https", ca=certificate)) == Grants()
    for ca in (other, None):
        refused = refusal(http_hook(service, scheme="https", ca=ca))
        assert "certificate not accepted" in refused.reason
        assert not refused.counts
    assert len(service.questions) == 1


# ----------------------------------------------------------------------------------- Python

HOOKS = """
import asyncio, time
from proxy.auth.grants import Grants

def yes(request, password):
    return {"groups": [request.user], "attributes": {"length": len(password)}}

async def later(request, password):
    await asyncio.sleep(0.01)
    return {"roles": [request.database]}

def grants(request, password):
    return Grants(tenant="t")

def no(request, password):
    return None

def true(request, password):
    return True

def wrong(request, password):
    return {"admin": True}

def raises(request, password):
    raise ValueError(password)

async def raises_later(request, password):
    raise KeyError(password)

def exits(request, password):
    raise SystemExit(0)

def not_awaited(request, password):
    return Grants

def slow(request, password):
    time.sleep(2)
    return {}

async def slow_later(request, password):
    await asyncio.sleep(60)
    return {}

number = 7
"""


@pytest.fixture(scope="module")
def hooks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("hooks")
    (folder / "hooks_of_this_test.py").write_text(HOOKS)
    sys.path.insert(0, str(folder))
    yield "hooks_of_this_test"
    sys.path.remove(str(folder))


def python_hook(name: str) -> PythonHook:
    bulkhead = Bulkhead("hook", threads=2, seconds=0.3)
    return PythonHook(find_hook(name), bulkhead, 0.3, asyncio.Semaphore(2))


def test_functions(hooks: str) -> None:
    grants = check(python_hook(f"{hooks}:yes"))
    assert grants.groups == {"anna"}
    assert dict(grants.attributes.items) == {"length": len(PASSWORD)}
    assert check(python_hook(f"{hooks}:later")).roles == {"cubewire"}
    assert check(python_hook(f"{hooks}:grants")).tenant == "t"


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("no", True),
        ("raises", True),
        ("raises_later", True),
        ("exits", True),
        ("true", False),
        ("wrong", False),
        ("not_awaited", False),
        ("slow", False),
        ("slow_later", False),
    ],
)
def test_whatever_a_function_does_but_say_yes_is_no(hooks: str, name: str, counts: bool) -> None:
    assert refusal(python_hook(f"{hooks}:{name}")).counts is counts


@pytest.mark.parametrize("name", ["no_such_module:f", "{}:none", "{}:number"])
def test_functions_that_are_not_there(hooks: str, name: str) -> None:
    with pytest.raises(HookError):
        find_hook(name.format(hooks))


async def test_a_slow_function_stops_nobody_else(hooks: str) -> None:
    hook = python_hook(f"{hooks}:slow")
    waiting = [asyncio.create_task(hook.check(REQUEST, PASSWORD)) for _ in range(4)]
    turns = 0
    while not all(each.done() for each in waiting):
        await asyncio.sleep(0.01)
        turns += 1
    assert turns > 3
    assert all(isinstance(each.exception(), Refused) for each in waiting)
    await hook.close()
