import pytest

from proxy.auth.errors import AuthenticationFailed
from proxy.auth.secret import login_secret
from proxy.auth.throttle import FailureThrottle
from proxy.wire.backend import AuthenticationCleartextPassword, AuthenticationOk
from tests.auth.support import Clock, make_authenticator


def test_password_inside_tls() -> None:
    exchange = make_authenticator("password").begin("demo", channel=None, encrypted=True)
    assert [type(each) for each in exchange.first()] == [AuthenticationCleartextPassword]
    assert not exchange.done
    step = exchange.receive(b"demo\0")
    assert step.done
    assert [type(each) for each in step.messages] == [AuthenticationOk]


@pytest.mark.parametrize("user", ["demo", "nobody"])
@pytest.mark.parametrize(
    ("body", "sqlstate"),
    [(b"nope\0", "28P01"), (b"\0", "28P01"), (b"demo", "08P01"), (b"", "08P01"), (b"\xff\0", None)],
)
def test_password_refused(user: str, body: bytes, sqlstate: str | None) -> None:
    exchange = make_authenticator("password").begin(user, channel=None, encrypted=True)
    with pytest.raises(AuthenticationFailed) as caught:
        exchange.receive(body)
    assert sqlstate in {None, caught.value.sqlstate}
    assert not exchange.done


def test_password_outside_tls_is_never_asked_for() -> None:
    with pytest.raises(AuthenticationFailed, match="encrypted connections only"):
        make_authenticator("password").begin("demo", channel=None)


def test_trust() -> None:
    exchange = make_authenticator("trust").begin("demo", channel=None)
    assert exchange.done
    assert [type(each) for each in exchange.first()] == [AuthenticationOk]
    with pytest.raises(AuthenticationFailed):
        exchange.receive(b"x\0")
    with pytest.raises(AuthenticationFailed, match='role "nobody" does not exist'):
        make_authenticator("trust").begin("nobody", channel=None)


def test_secret_is_made_once_and_private(tmp_path) -> None:
    folder = tmp_path / "state"
    secret = login_secret(folder)
    assert len(secret) == 32
    assert login_secret(folder) == secret
    assert [each.name for each in folder.iterdir()] == ["login.secret"]
    assert (folder / "login.secret").stat().st_mode & 0o777 == 0o600
    (folder / "login.secret").write_bytes(b"short")
    with pytest.raises(OSError, match="damaged"):
        login_secret(folder)


def test_throttle_counts_a_v6_network_as_one_and_bounds_its_table() -> None:
    throttle = FailureThrottle(Clock(), base=1, longest=4, limit=2, window=60)
    throttle.failed("u", "2001:db8::1")
    throttle.failed("u", "2001:db8::2")
    assert throttle.refused_for("u", "2001:db8::3") == 60
    assert throttle.refused_for("u", "2001:db8:1::3") == 0
    throttle.failed("u", "::ffff:10.0.0.1")
    assert throttle.failed("u", "10.0.0.1") == 1
    for number in range(10_001):
        throttle.failed(f"u{number}", "x")
    assert throttle.refused_for("u", "10.0.0.1") == 0
