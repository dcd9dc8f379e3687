"""The admin port over HTTP/1.1: ``/metrics``, ``/healthz``, ``/readyz``, and orders.

Small on purpose. It answers one request, whose body it does not look at, and closes. It bounds what
a peer can make it hold: bytes of the request, time, and connections. What changes anything needs a
token.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import logging
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qs

from proxy.observability.metrics import CONTENT_TYPE, Metrics

_LONGEST_REQUEST = 8192
_SECONDS = 5.0
_MOST_CONNECTIONS = 64
_BEARER = re.compile(rb"\r\nauthorization: *bearer +([^\r\n]+?) *\r\n", re.IGNORECASE)
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d{1,9}) *\r\n", re.IGNORECASE)
_LONGEST_BODY = 1 << 20
_GITLAB = re.compile(rb"\r\nx-gitlab-token: *([^\r\n]+?) *\r\n", re.IGNORECASE)
_REASONS = {
    200: "OK",
    202: "Accepted",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    409: "Conflict",
    431: "Request Header Fields Too Large",
    503: "Service Unavailable",
}

logger = logging.getLogger("cubewire.admin")


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether new sessions are taken, and what stands in the way.

    Attributes:
        problems: one short sentence each; none means ready.
        model_version: of the model that is served.
        model_problems: why the model folder's own is not served; no reason not to be ready.
    """

    problems: tuple[str, ...] = ()
    model_version: str = ""
    model_problems: tuple[str, ...] = ()

    @property
    def ready(self) -> bool:
        """Whether nothing stands in the way."""
        return not self.problems


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer over HTTP."""

    status: int
    body: bytes
    content_type: str = "text/plain; charset=utf-8"
    headers: tuple[str, ...] = ()


Order = Callable[[Mapping[str, Sequence[str]]], Awaitable[Answer]]
"""Does what the parameters of a request say."""


@dataclass(slots=True)
class AdminServer:
    """The listening admin port.

    Attributes:
        metrics: what ``/metrics`` shows.
        readiness: asked at each ``/readyz``; must be quick.
        orders: by path, what changes something.
        reports: by path, what tells of users and what they do.
        token: what such a request has to bear; without one, none may.
        reload: asks for the model to be loaded anew, and returns at once.
        reload_token: what that request has to bear; another one, for it is given to a git host.
    """

    metrics: Metrics
    readiness: Callable[[], Readiness]
    orders: Mapping[str, Order] = field(default_factory=dict)
    reports: Mapping[str, Order] = field(default_factory=dict)
    token: str | None = None
    reload: Callable[[], None] | None = None
    reload_token: str | None = None
    _server: asyncio.Server | None = None
    _open: set[asyncio.Task[None]] = field(default_factory=set)

    async def start(self, host: str, port: int) -> int:
        """Listen; return the port, which matters where 0 was asked for."""
        self._server = await asyncio.start_server(
            self._serve, host, port, limit=_LONGEST_REQUEST, start_serving=True
        )
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Stop listening and drop what is open."""
        if self._server is None:
            return
        self._server.close()
        for task in tuple(self._open):
            task.cancel()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._server.wait_closed(), _SECONDS)
        self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or len(self._open) >= _MOST_CONNECTIONS:
            writer.close()
            return
        task.set_name("admin-request")
        self._open.add(task)
        try:
            async with asyncio.timeout(_SECONDS):
                answer, with_body = await self._answer(reader)
                writer.write(_encode(answer, with_body=with_body))
                await writer.drain()
        except (TimeoutError, ConnectionError) as error:
            logger.debug("admin request given up: %s", type(error).__name__)
        finally:
            self._open.discard(task)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader) -> tuple[Answer, bool]:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            return Answer(431, b"request header too long\n"), True
        except asyncio.IncompleteReadError:
            return Answer(400, b"incomplete request\n"), True
        parts = head.split(b"\r\n", 1)[0].split(b" ")
        if len(parts) != 3 or not parts[2].startswith(b"HTTP/1."):
            return Answer(400, b"malformed request line\n"), True
        method, (target, _, query) = parts[0], parts[1].partition(b"?")
        path, text = target.decode("ascii", "replace"), query.decode("ascii", "replace")
        for wanted, known in ((b"POST", self.orders), (b"GET", self.reports)):
            if path in known:
                return await self._order(known[path], method, wanted, text, head), True
        if target == b"/reload":
            await _skip_body(reader, head)
            return self._reload(method, head), True
        if method not in {b"GET", b"HEAD"}:
            return Answer(405, b"only GET and HEAD\n", headers=("Allow: GET, HEAD",)), True
        return self._route(target), method == b"GET"

    async def _order(
        self, order: Order, method: bytes, wanted: bytes, query: str, head: bytes
    ) -> Answer:
        given = _BEARER.search(head)
        refusal = _refusal(method, self.token, "server.admin_token", given, wanted)
        return refusal or await order(parse_qs(query))

    def _reload(self, method: bytes, head: bytes) -> Answer:
        given = _BEARER.search(head) or _GITLAB.search(head)
        refusal = _refusal(method, self.reload_token, "reload.token", given)
        if refusal is not None or self.reload is None:
            return refusal or Answer(404, b"no model can be loaded\n")
        self.reload()
        return Answer(202, b'{"accepted": true}\n', "application/json")

    def _route(self, target: bytes) -> Answer:
        if target == b"/healthz":
            return Answer(200, b"ok\n")
        if target == b"/readyz":
            state = self.readiness()
            report: dict[str, object] = {"ready": state.ready, "problems": list(state.problems)}
            if state.model_version:
                problems = list(state.model_problems)
                report["model"] = {"version": state.model_version, "problems": problems}
            body = json.dumps(report) + "\n"
            return Answer(200 if state.ready else 503, body.encode(), "application/json")
        if target == b"/metrics":
            self.metrics.ready = self.readiness().ready
            return Answer(200, self.metrics.text(), CONTENT_TYPE)
        paths = ("/metrics", "/healthz", "/readyz", *self.orders, *self.reports, "/reload")
        known = ", ".join(paths)
        return Answer(404, f"known are {known}\n".encode())


async def _skip_body(reader: asyncio.StreamReader, head: bytes) -> None:
    """Read what a git host tells of its push: closing before would take the answer from it."""
    length = _LENGTH.search(head)
    left = min(int(length[1]), _LONGEST_BODY) if length is not None else 0
    while left > 0 and (piece := await reader.read(left)):
        left -= len(piece)


def _refusal(
    method: bytes,
    token: str | None,
    setting: str,
    given: re.Match[bytes] | None,
    wanted: bytes = b"POST",
) -> Answer | None:
    """Why a request that needs a token is not carried out; None where it may be."""
    if method != wanted:
        return Answer(405, b"only %b\n" % wanted, headers=(f"Allow: {wanted.decode()}",))
    if token is None:
        return Answer(403, f"{setting} is not configured\n".encode())
    if given is None or not hmac.compare_digest(given[1], token.encode()):
        headers = ("WWW-Authenticate: Bearer",)
        return Answer(401, b"a bearer token is needed\n", headers=headers)
    return None


def _encode(answer: Answer, *, with_body: bool) -> bytes:
    lines = [
        f"HTTP/1.1 {answer.status} {_REASONS[answer.status]}",
        f"Content-Type: {answer.content_type}",
        f"Content-Length: {len(answer.body)}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        "Connection: close",
        *answer.headers,
    ]
    head = ("\r\n".join(lines) + "\r\n\r\n").encode()
    return head + answer.body if with_body else head
