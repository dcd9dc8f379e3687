import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.auth.verifier import Verifier, VerifierError
from tests.support.oracle import OraclePostgres

SALT = b"0123456789abcdef"


@given(st.text(min_size=1, max_size=30).filter(lambda text: "\0" not in text))
def test_text_round_trip_and_match(password: str) -> None:
    verifier = Verifier.of_password(password, SALT)
    assert Verifier.parse(verifier.text()) == verifier
    assert verifier.matches(password)
    assert not verifier.matches(password + "x")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("secret", "reads SCRAM-SHA-256"),
        ("md5c4ca4238a0b923820dcc509a6f75849b", "reads SCRAM-SHA-256"),
        ("SCRAM-SHA-256$1000:MDEyMzQ1Njc4OWFiY2RlZg==$AA==:AA==", "at least 4096"),
        ("SCRAM-SHA-256$4096:MDE=$AA==:AA==", "salt needs at least 12"),
        ("SCRAM-SHA-256$4096:MDEyMzQ1Njc4OWFiY2RlZg==$AA==:AA==", "32 bytes"),
        ("SCRAM-SHA-256$4096:****$AA==:AA==", "base64"),
    ],
)
def test_unusable_verifiers_are_refused(text: str, complaint: str) -> None:
    with pytest.raises(VerifierError, match=complaint):
        Verifier.parse(text)


def test_empty_password_is_refused() -> None:
    with pytest.raises(VerifierError, match="empty"):
        Verifier.of_password("", SALT)


@pytest.mark.parametrize(
    "password", ["demo", "pä$$wörd", "Ⅳ", "a\u00adb", "x\u00a0y", "\u0627a", "tab\tted", "\u0221"]
)
def test_verifier_equals_postgres_own(oracle: OraclePostgres, password: str) -> None:
    """SASLprep and its fallback are PostgreSQL's: it makes the same verifier of the same salt."""
    import psycopg

    with psycopg.connect(oracle.dsn, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS verifier_probe")
        statement = psycopg.sql.SQL("CREATE ROLE verifier_probe PASSWORD {}").format(password)
        connection.execute(statement)
        row = connection.execute(
            "SELECT rolpassword FROM pg_authid WHERE rolname = 'verifier_probe'"
        ).fetchone()
        connection.execute("DROP ROLE verifier_probe")
    assert row is not None
    theirs = Verifier.parse(row[0])
    assert Verifier.of_password(password, theirs.salt, theirs.iterations) == theirs
