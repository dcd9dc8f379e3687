"""The smallest server over `ServerConnection`, in memory: enough for a client to talk to.

It knows no SQL. A text that holds ``fail`` fails, one that holds ``alive`` returns one row,
anything else completes. What it shows is the protocol core: phases, limits, faults, skipping.
"""

from __future__ import annotations

from collections.abc import Callable

from proxy.wire import backend, frontend
from proxy.wire.connection import DEFAULT_LIMITS, Phase, ServerConnection, WireLimits
from proxy.wire.errors import ProtocolViolation

ALIVE = backend.FieldDescription("alive", type_oid=25)


class StatementError(Exception):
    """What a statement fails with."""

    def __init__(self, sqlstate: str, message: str) -> None:
        super().__init__(message)
        self.fields = {"S": "ERROR", "V": "ERROR", "C": sqlstate, "M": message}


class MiniServer:
    """Feed it what a client sends; `outgoing` is what it says."""

    def __init__(self, password: str | None = None, limits: WireLimits = DEFAULT_LIMITS) -> None:
        self.wire = ServerConnection(limits)
        self.outgoing = bytearray()
        self.events: list[frontend.FrontendMessage] = []
        self._password = password
        self._statements: dict[str, frontend.Parse] = {}
        self._portals: dict[str, frontend.Parse] = {}

    @property
    def closed(self) -> bool:
        return self.wire.phase is Phase.CLOSED

    def feed(self, data: bytes) -> None:
        self.wire.feed(data)
        while True:
            try:
                message = self.wire.next_event()
                if message is None:
                    return
                self.events.append(message)
                self._handle(message)
            except ProtocolViolation as violation:
                severity = "FATAL" if violation.fatal else "ERROR"
                fields = {"S": severity, "C": violation.sqlstate, "M": violation.message}
                self._say(backend.ErrorResponse(fields))
                if self.wire.phase is Phase.ANSWERING:
                    self._ready()

    def _say(self, *messages: backend.BackendMessage) -> None:
        for message in messages:
            self.outgoing += message.encode()

    def _ready(self) -> None:
        self._say(backend.ReadyForQuery("I"))
        self.wire.ready()

    def _handle(self, message: frontend.FrontendMessage) -> None:
        wire = self.wire
        match message:
            case frontend.SSLRequest() | frontend.GSSENCRequest():
                self.outgoing += b"N"
                wire.encryption_declined()
            case frontend.StartupMessage():
                self._start()
            case frontend.AuthenticationResponse(body):
                if frontend.PasswordMessage.parse(body).password != self._password:
                    raise ProtocolViolation("28P01", "wrong password", fatal=True)
                self._welcome()
            case frontend.Query(sql):
                self._attempt(lambda: self._run(sql, described=True))
                self._ready()
            case frontend.FunctionCall():
                self._attempt(self._refuse)
                self._ready()
            case frontend.Sync():
                self._portals.clear()
                self._ready()
            case frontend.Flush() | frontend.CancelRequest() | frontend.Terminate():
                pass
            case _:
                if not self._attempt(lambda: self._extended(message)):
                    wire.skip_until_sync()

    def _start(self) -> None:
        if self.wire.negotiation is not None:
            self._say(self.wire.negotiation)
        if self._password is None:
            self._welcome()
        else:
            self._say(backend.AuthenticationCleartextPassword())
            self.wire.authentication_started()

    def _welcome(self) -> None:
        self.wire.authenticated()
        key = bytes(32 if self.wire.protocol_minor >= 2 else 4)
        self._say(backend.AuthenticationOk(), backend.BackendKeyData(7, key))
        self._ready()

    def _attempt(self, action: Callable[[], None]) -> bool:
        try:
            action()
        except StatementError as error:
            self._say(backend.ErrorResponse(error.fields))
            return False
        return True

    def _refuse(self) -> None:
        raise StatementError("0A000", "no function calls")

    def _run(self, sql: str, *, described: bool) -> None:
        if "fail" in sql:
            raise StatementError("22012", "it failed")
        if not sql.strip(" ;"):
            self._say(backend.EmptyQueryResponse())
            return
        if "alive" not in sql:
            self._say(backend.CommandComplete("SET"))
            return
        if described:
            self._say(backend.RowDescription((ALIVE,)))
        self._say(backend.DataRow((b"alive",)), backend.CommandComplete("SELECT 1"))

    def _extended(self, message: frontend.FrontendMessage) -> None:
        match message:
            case frontend.Parse(name):
                self._statements[name] = message
                self._say(backend.ParseComplete())
            case frontend.Bind(portal, name):
                self._portals[portal] = self._find(self._statements, name, "26000")
                self._say(backend.BindComplete())
            case frontend.Describe("S", name):
                found = self._find(self._statements, name, "26000")
                self._say(backend.ParameterDescription(found.parameter_oids), backend.NoData())
            case frontend.Describe(_, name):
                self._find(self._portals, name, "34000")
                self._say(backend.NoData())
            case frontend.Execute(name):
                self._run(self._find(self._portals, name, "34000").query, described=False)
            case frontend.Close(kind, name):
                (self._statements if kind == "S" else self._portals).pop(name, None)
                self._say(backend.CloseComplete())

    def _find(self, named: dict[str, frontend.Parse], name: str, code: str) -> frontend.Parse:
        if name not in named:
            raise StatementError(code, f"{name!r} does not exist")
        return named[name]


class MemoryWire:
    """A socket whose other end is a `MiniServer`."""

    def __init__(self, server: MiniServer) -> None:
        self.server = server
        self._hung_up = False

    def sendall(self, data: bytes, /) -> None:
        self.server.feed(data)

    def recv(self, size: int, /) -> bytes:
        data = bytes(self.server.outgoing[:size])
        del self.server.outgoing[:size]
        if not data and not (self.server.closed or self._hung_up):
            raise TimeoutError
        return data

    def settimeout(self, seconds: float | None, /) -> None:
        """Nothing waits here."""

    def shutdown(self, how: int, /) -> None:
        self._hung_up = True

    def close(self) -> None:
        self._hung_up = True
