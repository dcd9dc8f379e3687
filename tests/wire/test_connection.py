"""The server's end of a connection: phases, limits, and what each kind of fault leads to."""

from __future__ import annotations

from proxy.wire import frontend
from proxy.wire.connection import Phase, ServerConnection


def test_a_session_from_start_to_end() -> None:
    connection = ServerConnection()
    connection.feed(frontend.StartupMessage(3, 0, {"user": "ada"}).encode())
    assert isinstance(connection.next_event(), frontend.StartupMessage)
    connection.authenticated()
    connection.ready()
    connection.feed(frontend.Query("select 1").encode() + frontend.Terminate().encode())
    assert connection.next_event() == frontend.Query("select 1")
    assert connection.next_event() is None, "held until the first is answered"
    connection.ready()
    assert connection.next_event() == frontend.Terminate()
    assert connection.phase is Phase.CLOSED
