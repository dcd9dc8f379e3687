"""Clients of Redis from the URL that the configuration has: one server, Sentinel or Cluster."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, cast
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from redis.asyncio import Redis, RedisCluster, Sentinel
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

CONNECTIONS = 32
SENTINEL_PORT = 26379
OF_SENTINELS = "sentinel_"
"""Begins the options of a Sentinel URL that are about the Sentinels themselves."""


_TIME = "return redis.call('TIME')"
_VALUE = """
local now = redis.call('TIME')
return {redis.call('GET', KEYS[1]), now[1], now[2]}
"""
_REPLACE = """
local found = redis.call('HGET', KEYS[1], ARGV[1])
if found and found ~= ARGV[2] then
  return found
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return false
"""


class Client(Protocol):
    """As much of a client as is used; keys and values are bytes."""

    def pipeline(self, *, transaction: bool) -> Any:
        """Commands that go out together."""

    async def mget(self, keys: list[bytes]) -> list[bytes | None]:
        """Several values."""

    async def set(self, name: bytes, value: bytes, *, px: int) -> Any:
        """Store a value for so many milliseconds."""

    async def eval(self, script: str, numkeys: int, *keys_and_args: bytes | int) -> Any:
        """Run a script."""

    async def publish(self, channel: bytes, message: bytes) -> Any:
        """Tell who listens."""

    async def aclose(self) -> None:
        """Close its connections."""


async def time_at(client: Client, name: bytes) -> int:
    """Milliseconds since 1970 by the clock of the server that has this name's value."""
    seconds, micros = await client.eval(_TIME, 1, name)
    return _milliseconds(seconds, micros)


async def timed_value(client: Client, name: bytes) -> tuple[bytes | None, int]:
    """A value, and the time at which it was read, as ``time_at`` has it."""
    value, seconds, micros = await client.eval(_VALUE, 1, name)
    return value, _milliseconds(seconds, micros)


async def replaced(
    client: Client, name: bytes, field: bytes, before: bytes, after: bytes
) -> bytes | None:
    """Set a field of a hash that has the value ``before``, or none.

    Returns the other value that it has, and keeps; None where it was set.
    """
    found: bytes | None = await client.eval(_REPLACE, 1, name, field, before, after)
    return found


def _milliseconds(seconds: bytes, micros: bytes) -> int:
    return int(seconds) * 1000 + int(micros) // 1000


def open_client(url: str, timeout: float, *, waits: bool = False) -> Client:
    """A client; it connects when it is first used. Raises ValueError for a URL without sense.

    Args:
        url: ``redis://``, ``rediss://``, ``unix://`` as redis-py has them, with its options in the
            query; ``redis+sentinel://user:password@host:26379,other:26379/service/0`` and
            ``redis+cluster://host:6379``, likewise with ``rediss``. For TLS there are
            ``ssl_ca_certs``, ``ssl_certfile`` and ``ssl_keyfile``, which name files.
        timeout: seconds to connect and to wait for bytes.
        waits: for bytes that may come at any time, as on a channel: without limit.
    """
    options: dict[str, Any] = {
        "socket_timeout": None if waits else timeout,
        "socket_connect_timeout": timeout,
        "retry": Retry(NoBackoff(), 0),
    }
    scheme, _, rest = url.partition("://")
    kind, _, variant = scheme.partition("+")
    if variant == "cluster":
        cluster = RedisCluster.from_url(f"{kind}://{rest}", **options)
        return cast("Client", cluster)
    if variant == "sentinel":
        return cast("Client", _sentinel(url, options | {"ssl": kind == "rediss"}))
    options["max_connections"] = CONNECTIONS
    return cast("Client", Redis.from_url(f"{kind}://{rest}", **options))


def _sentinel(url: str, options: dict[str, Any]) -> Redis:
    parts = urlsplit(url)
    login, _, hosts = parts.netloc.rpartition("@")
    service, _, database = parts.path.strip("/").partition("/")
    if not hosts or not service:
        raise ValueError("a Sentinel URL is redis+sentinel://host:26379,other:26379/service/0")
    addresses = []
    for host in hosts.split(","):
        name, _, port = host.rpartition(":")
        addresses.append((name, int(port)) if name else (port, SENTINEL_PORT))
    user, _, password = login.partition(":")
    if login:
        options |= {"username": unquote(user) or None, "password": unquote(password) or None}
    asked = parse_qsl(parts.query)
    own = _read_options([item for item in asked if not item[0].startswith(OF_SENTINELS)])
    watchers = {
        # Whom to trust is the same, unless it is said to be otherwise.
        **{key: value for key, value in own.items() if key.startswith("ssl_")},
        **_read_options(
            [
                (key.removeprefix(OF_SENTINELS), value)
                for key, value in asked
                if key.startswith(OF_SENTINELS)
            ]
        ),
    }
    shared = {key: options[key] for key in ("socket_timeout", "socket_connect_timeout", "ssl")}
    sentinel: Any = Sentinel(  # type: ignore[no-untyped-call]
        addresses, sentinel_kwargs={**shared, **watchers}
    )
    found: Redis = sentinel.master_for(service, **{**options, **own}, db=int(database or 0))
    close = found.aclose

    async def close_all(_pool: bool | None = None) -> None:
        await close()
        for watcher in sentinel.sentinels:
            await watcher.aclose()

    found.aclose = close_all  # type: ignore[assignment,method-assign]
    return found


def _read_options(items: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Options of a URL as the driver reads them. Raises ValueError."""
    return dict(parse_url(f"redis://?{urlencode(items)}"))
