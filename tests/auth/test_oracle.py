"""The same SCRAM messages, right and wrong, to a real PostgreSQL and to our exchange."""

from __future__ import annotations

import datetime as dt
import os
import pwd
import shutil
import socket
import ssl
import struct
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from proxy.auth.certificate import end_point_hash, self_signed
from proxy.auth.errors import AuthenticationFailed
from proxy.auth.steps import ChannelBinding
from tests.auth.support import ScramClient, make_authenticator
from tests.conftest import free_port
from tests.support import oracle as oracle_module
from tests.support.oracle import OraclePostgres, start_oracle

PLAIN, PLUS = "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"
BOUND = "p=tls-server-end-point,,"


@dataclass
class Server:
    postgres: OraclePostgres
    binding: bytes


def with_tls() -> Path | None:
    """A PostgreSQL built with TLS: the wheel's is not."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    return found[-1].parent if found else None


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    folder_with_tls = with_tls()
    if folder_with_tls is None:
        pytest.skip("no PostgreSQL with TLS installed")
    folder = Path(tempfile.mkdtemp(prefix="scram-oracle-"))
    folder.chmod(0o755)
    certificate, _ = self_signed(folder, ("localhost",), dt.datetime.now(dt.UTC))
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(certificate, nobody.pw_uid, nobody.pw_gid)
    hba = folder / "hba.conf"
    hba.write_text("local all all trust\nhost all all all scram-sha-256\n")
    hba.chmod(0o644)
    options = (
        f"hba_file={hba}",
        "ssl=on",
        f"ssl_cert_file={certificate}",
        f"ssl_key_file={certificate}",
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(oracle_module, "binaries", lambda: folder_with_tls)
        postgres = start_oracle(free_port(), options)
    local = f"host={postgres.directory} port={postgres.port} user=oracle dbname=postgres"
    with psycopg.connect(local, autocommit=True) as connection:
        connection.execute("CREATE ROLE demo LOGIN PASSWORD 'demo'")
    binding = end_point_hash(certificate)
    assert binding is not None
    yield Server(postgres, binding)
    postgres.stop()
    shutil.rmtree(folder)


Final = Callable[[ScramClient, bytes], bytes]


@dataclass(frozen=True)
class Script:
    """What a client sends. ``first`` replaces the first message, ``final`` makes the second."""

    name: str
    tls: bool = False
    user: str = "demo"
    password: str = "demo"
    mechanism: str = PLAIN
    header: str = "n,,"
    first: bytes | None = None
    raw_body: bytes | None = None
    bound: bool = True
    final: Final = ScramClient.final

    def client(self, binding: bytes) -> ScramClient:
        data = binding if self.header.startswith("p=") and self.bound else b""
        return ScramClient(self.password, header=self.header, binding=data)


def replaced(old: str, new: str) -> Final:
    return lambda client, answer: client.final(answer).replace(old.encode(), new.encode())


SCRIPTS = [
    Script("right"),
    Script("right in tls", tls=True),
    Script("right with binding", tls=True, mechanism=PLUS, header=BOUND),
    Script("wrong password", password="nope"),
    Script("unknown user", user="nobody"),
    Script("wrong password in tls", tls=True, mechanism=PLUS, header=BOUND, password="nope"),
    Script("y outside tls", header="y,,"),
    Script("y where plus was offered", tls=True, header="y,,"),
    Script("n with plus", tls=True, mechanism=PLUS),
    Script("y with plus", tls=True, mechanism=PLUS, header="y,,"),
    Script("p with plain", tls=True, header=BOUND),
    Script("plus outside tls", mechanism=PLUS, header=BOUND),
    Script("unknown mechanism", mechanism="SCRAM-SHA-1"),
    Script("no mechanism", mechanism=""),
    Script("wrong binding", tls=True, mechanism=PLUS, header=BOUND, bound=False),
    Script("unknown binding type", tls=True, mechanism=PLUS, header="p=tls-unique,,"),
    Script("authorization identity", header="n,a=other,"),
    Script("no header", first=b"n=,r=abc"),
    Script("empty", first=b""),
    Script("flag x", first=b"x,,n=,r=abc"),
    Script("mandatory extension", first=b"n,,m=x,n=,r=abc"),
    Script("optional extension", first=b"n,,n=,r=abc,x=extension"),
    Script("no name", first=b"n,,r=abc"),
    Script("no nonce", first=b"n,,n="),
    # An empty nonce is not here: PostgreSQL takes it, we refuse it as RFC 5802 does (section 7).
    Script("unprintable nonce", first=b"n,,n=,r=a\x01b"),
    Script("nul inside", first=b"n,,n=,r=ab\0c"),
    Script("truncated body", raw_body=b"SCRAM-SHA-256\0\0\0"),
    Script("length too long", raw_body=b"SCRAM-SHA-256\0\0\0\0\x40n,,n=,r=abc"),
    Script("trailing bytes", raw_body=b"SCRAM-SHA-256\0\0\0\0\x01n,,n=,r=abc"),
    Script("wrong nonce", final=lambda client, answer: client.final(answer, nonce="other")),
    Script(
        "client's nonce alone",
        final=lambda client, answer: client.final(answer, nonce="clientnonce"),
    ),
    Script("longer nonce", final=replaced(",p=", "x,p=")),
    Script("binding unasked", final=lambda client, answer: client.final(answer, cbind=b"y,,")),
    Script("binding not base64", final=replaced("c=biws", "c=!!!!")),
    Script("proof not base64", final=replaced(",p=", ",p=!")),
    Script("proof too short", final=lambda client, answer: client.final(answer)[:-20] + b"AA=="),
    Script("no proof", final=lambda client, answer: client.final(answer).split(b",p=")[0]),
    Script("extension in final", final=replaced(",p=", ",x=y,p=")),
    Script("bytes behind the proof", final=lambda client, answer: client.final(answer) + b",x=y"),
    Script("empty final", final=lambda client, answer: b""),
]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_same_outcome(server: Server, script: Script) -> None:
    assert ours(script, server.binding) == theirs(script, server)


def initial(script: Script, client: ScramClient) -> bytes:
    sent = client.first()
    if script.raw_body is not None:
        return script.raw_body
    if script.first is not None:
        sent = script.first
        client.bare = sent.decode(errors="replace").split(",", 2)[-1]
    return script.mechanism.encode() + b"\0" + struct.pack("!i", len(sent)) + sent


def ours(script: Script, binding: bytes) -> str:
    client = script.client(binding)
    channel = ChannelBinding(binding) if script.tls else None
    exchange = make_authenticator().begin(script.user, channel=channel)
    try:
        step = exchange.receive(initial(script, client))
        step = exchange.receive(script.final(client, step.messages[0].data))
    except AuthenticationFailed as failure:
        return failure.sqlstate
    return "ok" if step.done else "unfinished"


def theirs(script: Script, server: Server) -> str:
    client = script.client(server.binding)
    raw = socket.create_connection((server.postgres.host, server.postgres.port))
    with closing(encrypted(raw) if script.tls else raw) as link:
        body = struct.pack("!i", 196608) + f"user\0{script.user}\0database\0postgres\0\0".encode()
        link.sendall(struct.pack("!i", len(body) + 4) + body)
        read(link)
        send(link, initial(script, client))
        kind, body = read(link)
        if kind == b"R":
            send(link, script.final(client, body[4:]))
            kind, body = read(link)
        if kind == b"E":
            fields = {part[:1]: part[1:] for part in body.split(b"\0") if part}
            return fields[b"C"].decode()
        return "ok"


def encrypted(raw: socket.socket) -> ssl.SSLSocket:
    raw.sendall(struct.pack("!ii", 8, 80877103))
    assert raw.recv(1) == b"S"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(raw)


def send(link: socket.socket, body: bytes) -> None:
    link.sendall(b"p" + struct.pack("!i", len(body) + 4) + body)


def read(link: socket.socket) -> tuple[bytes, bytes]:
    head = exactly(link, 5)
    return head[:1], exactly(link, struct.unpack("!i", head[1:])[0] - 4)


def exactly(link: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = link.recv(size - len(data))
        assert part, "closed"
        data += part
    return data
