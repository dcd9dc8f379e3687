"""Real LDAP servers with a few people and groups: OpenLDAP where installed, and ldaptor's."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509

from tests.auth.authority import Authority

SLAPD = shutil.which("slapd") or shutil.which("/usr/sbin/slapd")
SLAPADD = shutil.which("slapadd") or shutil.which("/usr/sbin/slapadd")
MODULES = Path("/usr/lib/ldap")
SCHEMAS = Path("/etc/ldap/schema")
INSTALLED = None not in (SLAPD, SLAPADD) and MODULES.is_dir() and SCHEMAS.is_dir()

SCRIPT = Path(__file__).with_name("ldaptor_server.py")

BASE = "dc=example,dc=org"
PEOPLE, GROUPS = f"ou=people,{BASE}", f"ou=groups,{BASE}"
READER, READER_PASSWORD = f"cn=reader,{BASE}", "reader-password"

ENTRIES = f"""
dn: {BASE}
objectClass: dcObject
objectClass: organization
o: example
dc: example

dn: {PEOPLE}
objectClass: organizationalUnit
ou: people

dn: {GROUPS}
objectClass: organizationalUnit
ou: groups

dn: {READER}
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: reader
userPassword: {READER_PASSWORD}
"""
PERSON = """
dn: {dn}
objectClass: inetOrgPerson
cn: {user}
sn: {user}
uid: {user}
l: {region}
o: acme
userPassword: {password}
"""
GROUP = """
dn: cn={name},{groups}
objectClass: groupOfNames
cn: {name}
member: {dn}
"""
STRANGE = r"o\2cdd (x)*"
"""The relative name of somebody whose own name has to be escaped everywhere."""

CONFIGURATION = """
include {schemas}/core.schema
include {schemas}/cosine.schema
include {schemas}/inetorgperson.schema
modulepath {modules}
moduleload back_mdb
pidfile {folder}/slapd.pid
TLSCACertificateFile {ca}
TLSCertificateFile {certificate}
TLSCertificateKeyFile {key}
# As some directories are set up: a DN without a password binds as nobody, and succeeds.
allow bind_anon_cred bind_anon_dn
database mdb
suffix "{base}"
rootdn "cn=root,{base}"
directory {folder}/data
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="{reader}" read by self read by anonymous none by * none
"""


@dataclass(frozen=True)
class RunningDirectory:
    """Where it is, and who vouches for it.

    Attributes:
        plain: URL for StartTLS; None where the server does not know that.
        sound: whether it compares DNs as it should, however they are escaped.
    """

    plain: str | None
    encrypted: str
    ca: Path
    sound: bool = True


def entries() -> str:
    anna, strange = f"uid=anna,{PEOPLE}", f"uid={STRANGE},{PEOPLE}"
    return ENTRIES + "".join(
        [
            PERSON.format(dn=anna, user="anna", region="north", password="annas"),
            PERSON.format(dn=strange, user="o,dd (x)*", region="south", password="strange"),
            PERSON.format(dn=f"uid=bert,{PEOPLE}", user="bert", region="x", password="berts"),
            PERSON.format(dn=f"cn=twin 1,{PEOPLE}", user="twin", region="x", password="twins"),
            PERSON.format(dn=f"cn=twin 2,{PEOPLE}", user="twin", region="x", password="twins"),
            GROUP.format(name="analysts", groups=GROUPS, dn=anna),
            GROUP.format(name="strangers", groups=GROUPS, dn=strange),
            GROUP.format(name="everybody", groups=GROUPS, dn=f"{anna}\nmember: {strange}"),
        ]
    )


def _certificate(authority: Authority) -> tuple[Path, Path]:
    names = (x509.IPAddress(IPv4Address("127.0.0.1")), x509.DNSName("localhost"))
    return authority.issue("directory", alternatives=names, server=True)


@contextlib.contextmanager
def ldaptor(folder: Path, authority: Authority) -> Iterator[RunningDirectory]:
    """Run ldaptor's server until the end of the block."""
    certificate, key = _certificate(authority)
    people = folder / "people.ldif"
    people.write_text(entries().lstrip() + "\n")
    with people.open() as data:
        process = subprocess.Popen(
            [sys.executable, str(SCRIPT), str(certificate), str(key)],
            stdin=data,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
    try:
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        yield RunningDirectory(None, f"ldaps://127.0.0.1:{port}", authority.file, sound=False)
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


@contextlib.contextmanager
def slapd(folder: Path, authority: Authority) -> Iterator[RunningDirectory]:
    """Run OpenLDAP's server until the end of the block."""
    assert SLAPD is not None
    assert SLAPADD is not None
    (folder / "data").mkdir()
    certificate, key = _certificate(authority)
    configuration = folder / "slapd.conf"
    configuration.write_text(
        CONFIGURATION.format(
            schemas=SCHEMAS,
            modules=MODULES,
            folder=folder,
            ca=authority.file,
            certificate=certificate,
            key=key,
            base=BASE,
            reader=READER,
        )
    )
    subprocess.run([SLAPADD, "-f", configuration, "-q"], input=entries(), text=True, check=True)
    ports = free_ports()
    urls = [f"ldap://127.0.0.1:{ports[0]}", f"ldaps://127.0.0.1:{ports[1]}"]
    process = subprocess.Popen(
        [SLAPD, "-f", configuration, "-h", " ".join(urls), "-d", "0"], stderr=subprocess.DEVNULL
    )
    try:
        wait_for(ports[1])
        yield RunningDirectory(urls[0], urls[1], authority.file)
    finally:
        process.terminate()
        process.wait(10)


def free_ports() -> list[int]:
    with socket.socket() as first, socket.socket() as second:
        first.bind(("127.0.0.1", 0))
        second.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in (first, second)]


def wait_for(port: int) -> None:
    deadline = time.monotonic() + 40
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return
