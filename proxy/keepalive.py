"""Whether a client's machine is still there.

An idle connection is probed by the kernel (SO_KEEPALIVE). One with data under way is not: there the
kernel resends for a quarter of an hour. TCP_USER_TIMEOUT would shorten that, but it also ends the
connection of a client that is alive and only does not read for a while, which is the write
timeout's business. So the kernel is asked what it knows: is something unanswered, and for how long.
"""

from __future__ import annotations

import socket
import struct
import sys

from proxy.config.models import ServerConfig

_INFO_BYTES = 104
_COUNTERS = struct.Struct("=2xBB")
"""``tcpi_retransmits`` and ``tcpi_probes``: attempts since the last answer (linux/tcp.h)."""
_LAST_ANSWER = struct.Struct("=56xI")
"""``tcpi_last_ack_recv``: milliseconds since the peer acknowledged anything."""


class KeepAlive:
    """The keepalive settings of a server's sockets.

    Attributes:
        silence: seconds after which a peer that answers nothing is gone; 0 leaves it to the system.
        look_seconds: how often to ask about connections.
    """

    def __init__(self, config: ServerConfig) -> None:
        idle, interval = config.tcp_keepalive_idle, config.tcp_keepalive_interval
        count = config.tcp_keepalive_count
        self._options = (
            ("TCP_KEEPIDLE", idle),
            ("TCP_KEEPINTVL", interval),
            ("TCP_KEEPCNT", count),
        )
        known = idle and interval and count and sys.platform == "linux"
        self.silence = float(idle + interval * count) if known else 0.0
        self.look_seconds = float(interval)

    def configure(self, sock: socket.socket) -> None:
        """Probe the peer while the connection is idle, and send small packets at once."""
        if sock.family not in (socket.AF_INET, socket.AF_INET6):
            return
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in self._options:
            if value and hasattr(socket, name):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)

    def unanswered(self, sock: socket.socket) -> bool:
        """Whether the kernel waits for the peer, and has heard nothing for the whole silence.

        A peer that is alive may be caught in the moment between a probe and its answer, so only
        two looks in a row tell.
        """
        if sock.family not in (socket.AF_INET, socket.AF_INET6):
            return False
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO_BYTES)
        retransmits, probes = _COUNTERS.unpack_from(info)
        (silent,) = _LAST_ANSWER.unpack_from(info)
        return bool((retransmits or probes) and silent > self.silence * 1000)
