"""A directory in memory, in a process of its own: LDIF on standard input, a port on the output.

Arguments: a certificate's file and its key's. It speaks LDAP inside TLS alone.
"""

from __future__ import annotations

import io
import sys

from ldaptor.inmemory import fromLDIFFile
from ldaptor.interfaces import IConnectedLDAPEntry
from ldaptor.protocols.ldap.ldapserver import LDAPServer
from twisted.internet import protocol, reactor
from twisted.internet import ssl as tls
from twisted.python.components import registerAdapter


class Directory(protocol.ServerFactory):
    """Makes a connection's protocol."""

    protocol = LDAPServer

    def __init__(self, root: object) -> None:
        self.root = root


def main(certificate: str, key: str) -> None:
    registerAdapter(lambda factory: factory.root, Directory, IConnectedLDAPEntry)

    def ready(root: object) -> None:
        context = tls.DefaultOpenSSLContextFactory(key, certificate)
        port = reactor.listenSSL(0, Directory(root), context, interface="127.0.0.1")
        print(port.getHost().port, flush=True)

    fromLDIFFile(io.BytesIO(sys.stdin.buffer.read())).addCallback(ready)
    reactor.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
