"""Redis that is reached by TLS alone, with a certificate, and lets in users with a password."""

from __future__ import annotations

import ipaddress
import shutil
import ssl
import subprocess
from pathlib import Path

import pytest
import redis
from cryptography import x509

from proxy.cache.breaker import Breaker, UnavailableError
from proxy.cache.redis_client import open_client
from tests.auth.authority import Authority
from tests.cache.test_redis_kinds import check
from tests.conftest import free_port
from tests.reliability.support import until
from tests.support.redis_server import RedisServer

HERE = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
USER = "user cube on >secret ~kinds* &kinds* +@all -@dangerous"


def speaks_tls() -> bool:
    found = shutil.which("redis-server")
    if found is None:
        return False
    asked = subprocess.run(
        [found, "--port", "0", "--tls-port", "1", "--tls-cert-file", "/nowhere"],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    return "tls" in asked.stdout.lower() and "Bad directive" not in asked.stdout + asked.stderr


pytestmark = pytest.mark.skipif(
    not speaks_tls(), reason="no redis-server with TLS on PATH (Debian's package has it)"
)


class Files:
    """Certificates of an authority that nobody but this test trusts."""

    def __init__(self, folder: Path) -> None:
        authority = Authority(folder, "redis authority")
        certificate, key = authority.issue("redis", alternatives=(HERE,), server=True)
        mine, secret = authority.issue("cubewire")
        self.trust = f"ssl_ca_certs={authority.file}"
        self.query = f"{self.trust}&ssl_certfile={mine}&ssl_keyfile={secret}"
        files = {"cert": certificate, "key": key, "ca-cert": authority.file}
        self.options = {f"tls-{name}-file": str(file) for name, file in files.items()}

    def arguments(self, port: int, **more: str) -> tuple[str, ...]:
        """Of a server that speaks TLS alone; a certificate of its clients' is asked for as well."""
        options = {"port": "0", "tls-port": str(port), "tls-auth-clients": "yes", **self.options}
        options |= {name.replace("_", "-"): value for name, value in more.items()}
        return tuple(part for name, value in options.items() for part in (f"--{name}", value))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("redis-tls"))


@pytest.fixture
def users(tmp_path: Path) -> Path:
    """The users that there are: one, who may do no more than is needed."""
    file = tmp_path / "users.acl"
    file.write_text(f"user default off\n{USER}\n")
    return file


async def ping(url: str) -> bool:
    client = open_client(url, 2.0)
    try:
        pipeline = client.pipeline(transaction=False)
        pipeline.get(b"kinds:x")
        return bool(await Breaker(2.0).call(pipeline.execute))
    finally:
        await client.aclose()


async def test_one_server(files: Files, users: Path) -> None:
    port = free_port()
    with RedisServer(port, files.arguments(port, aclfile=str(users))):
        await check(f"rediss://cube:secret@127.0.0.1:{port}/0?{files.query}")
        for refused in (
            # Without a certificate, with an authority that is not trusted, by another name, without
            # TLS, without a password, with a wrong one.
            f"rediss://cube:secret@127.0.0.1:{port}/0?{files.trust}",
            f"rediss://cube:secret@127.0.0.1:{port}/0",
            f"rediss://cube:secret@localhost:{port}/0?{files.query}",
            f"redis://cube:secret@127.0.0.1:{port}/0",
            f"rediss://127.0.0.1:{port}/0?{files.query}",
            f"rediss://cube:wrong@127.0.0.1:{port}/0?{files.query}",
        ):
            with pytest.raises((UnavailableError, ssl.SSLError)):
                await ping(refused)


async def test_a_cluster(files: Files, tmp_path: Path) -> None:
    port = next(port for port in iter(free_port, 0) if port < 55_000)
    arguments = files.arguments(
        port,
        cluster_enabled="yes",
        cluster_config_file=str(tmp_path / "nodes"),
        dir=str(tmp_path),
        tls_cluster="yes",
    )
    with RedisServer(port, arguments):
        administrator = redis.from_url(f"rediss://127.0.0.1:{port}?{files.query}")
        administrator.execute_command("CLUSTER", "ADDSLOTS", *range(16_384))
        until(lambda: administrator.cluster("info")["cluster_state"] == "ok", 20)
        administrator.execute_command("ACL", "SETUSER", *USER.split()[1:])
        administrator.close()
        await check(f"rediss+cluster://cube:secret@127.0.0.1:{port}?{files.query}")


async def test_a_sentinel(files: Files, tmp_path: Path) -> None:
    port, watcher = free_port(), free_port()
    users = tmp_path / "main.acl"
    users.write_text(f"user default on nopass ~* &* +@all\n{USER}\n")
    with RedisServer(port, files.arguments(port, aclfile=str(users))):
        config = tmp_path / "sentinel.conf"
        config.write_text(f"sentinel monitor main 127.0.0.1 {port} 1\n")
        arguments = files.arguments(watcher, tls_replication="yes")
        with RedisServer(watcher, arguments, configuration=config):
            await check(f"rediss+sentinel://cube:secret@127.0.0.1:{watcher}/main/0?{files.query}")
