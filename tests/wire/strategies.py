"""Hypothesis strategies: any value of any message."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import strategies as st

from proxy.wire import backend, frontend
from proxy.wire.message import Message

text = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
name = st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=8
)
data = st.binary(max_size=40)
value = st.none() | data
values = st.lists(value, max_size=6).map(tuple)
formats = st.lists(st.integers(-(2**15), 2**15 - 1), max_size=6).map(tuple)
oid = st.integers(0, 2**32 - 1)
oids = st.lists(oid, max_size=6).map(tuple)
int16 = st.integers(-(2**15), 2**15 - 1)
int32 = st.integers(-(2**31), 2**31 - 1)
reports = st.dictionaries(st.sampled_from("SVCMDHPpqWstcdnFLR"), text, max_size=6)
field = st.builds(
    backend.FieldDescription,
    name=text,
    table_oid=oid,
    column=int16,
    type_oid=oid,
    type_size=int16,
    type_modifier=int32,
    format=int16,
)


@st.composite
def _bind(draw: st.DrawFn) -> frontend.Bind:
    parameters = draw(values)
    counts = {0, 1, len(parameters)}
    count = draw(st.sampled_from(sorted(counts)))
    given = tuple(draw(st.lists(st.sampled_from([0, 1]), min_size=count, max_size=count)))
    return frontend.Bind(draw(text), draw(text), given, parameters, draw(formats))


FRONTEND: Mapping[type[Message], st.SearchStrategy[Message]] = {
    frontend.AuthenticationResponse: st.builds(frontend.AuthenticationResponse, data),
    frontend.PasswordMessage: st.builds(frontend.PasswordMessage, text),
    frontend.SASLInitialResponse: st.builds(frontend.SASLInitialResponse, text, value),
    frontend.SASLResponse: st.builds(frontend.SASLResponse, data),
    frontend.Query: st.builds(frontend.Query, text),
    frontend.Parse: st.builds(frontend.Parse, text, text, oids),
    frontend.Bind: _bind(),
    frontend.Describe: st.builds(frontend.Describe, st.sampled_from("SP"), text),
    frontend.Execute: st.builds(frontend.Execute, text, int32),
    frontend.Close: st.builds(frontend.Close, st.sampled_from("SP"), text),
    frontend.Flush: st.just(frontend.Flush()),
    frontend.Sync: st.just(frontend.Sync()),
    frontend.Terminate: st.just(frontend.Terminate()),
    frontend.FunctionCall: st.builds(frontend.FunctionCall, oid, formats, values, int16),
    frontend.CopyData: st.builds(frontend.CopyData, data),
    frontend.CopyDone: st.just(frontend.CopyDone()),
    frontend.CopyFail: st.builds(frontend.CopyFail, text),
    frontend.StartupMessage: st.builds(
        frontend.StartupMessage,
        st.just(3),
        st.integers(0, 2**16 - 1),
        st.dictionaries(name, text, max_size=4),
    ),
    frontend.SSLRequest: st.just(frontend.SSLRequest()),
    frontend.GSSENCRequest: st.just(frontend.GSSENCRequest()),
    frontend.CancelRequest: st.builds(
        frontend.CancelRequest, int32, st.binary(min_size=4, max_size=256)
    ),
}
"""Every message of the client, openings and the kinds of ``p`` included."""

BACKEND: Mapping[type[Message], st.SearchStrategy[Message]] = {
    backend.AuthenticationOk: st.just(backend.AuthenticationOk()),
    backend.AuthenticationCleartextPassword: st.just(backend.AuthenticationCleartextPassword()),
    backend.AuthenticationSASL: st.builds(
        backend.AuthenticationSASL, st.lists(name, max_size=3).map(tuple)
    ),
    backend.AuthenticationSASLContinue: st.builds(backend.AuthenticationSASLContinue, data),
    backend.AuthenticationSASLFinal: st.builds(backend.AuthenticationSASLFinal, data),
    backend.BackendKeyData: st.builds(backend.BackendKeyData, int32, data),
    backend.BindComplete: st.just(backend.BindComplete()),
    backend.CloseComplete: st.just(backend.CloseComplete()),
    backend.CommandComplete: st.builds(backend.CommandComplete, text),
    backend.CopyData: st.builds(backend.CopyData, data),
    backend.CopyDone: st.just(backend.CopyDone()),
    backend.CopyInResponse: st.builds(backend.CopyInResponse, st.integers(0, 1), formats),
    backend.CopyOutResponse: st.builds(backend.CopyOutResponse, st.integers(0, 1), formats),
    backend.DataRow: st.builds(backend.DataRow, values),
    backend.EmptyQueryResponse: st.just(backend.EmptyQueryResponse()),
    backend.ErrorResponse: st.builds(backend.ErrorResponse, reports),
    backend.FunctionCallResponse: st.builds(backend.FunctionCallResponse, value),
    backend.NegotiateProtocolVersion: st.builds(
        backend.NegotiateProtocolVersion,
        st.integers(0, 2**16 - 1),
        st.lists(text, max_size=3).map(tuple),
    ),
    backend.NoData: st.just(backend.NoData()),
    backend.NoticeResponse: st.builds(backend.NoticeResponse, reports),
    backend.NotificationResponse: st.builds(backend.NotificationResponse, int32, text, text),
    backend.ParameterDescription: st.builds(backend.ParameterDescription, oids),
    backend.ParameterStatus: st.builds(backend.ParameterStatus, text, text),
    backend.ParseComplete: st.just(backend.ParseComplete()),
    backend.PortalSuspended: st.just(backend.PortalSuspended()),
    backend.ReadyForQuery: st.builds(backend.ReadyForQuery, st.sampled_from("ITE")),
    backend.RowDescription: st.builds(
        backend.RowDescription, st.lists(field, max_size=4).map(tuple)
    ),
}

ANY = {**FRONTEND, **BACKEND}
