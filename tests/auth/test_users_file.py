"""The users file, by itself and through the command that keeps it."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.auth.contexts import UserContexts
from proxy.auth.users import KnownUser, Users
from proxy.auth.users_file import UsersFile, UsersFileError
from proxy.auth.verifier import Verifier
from proxy.cli import main

VERIFIER = Verifier.of_password("pw", b"s" * 16)
TEXT = VERIFIER.text()


def write(path: Path, text: str, mode: int = 0o600) -> UsersFile:
    path.write_text(text)
    path.chmod(mode)
    return UsersFile(path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "users.yml"


def test_who_a_user_is_to_those_who_act_for_them(path: Path) -> None:
    text = "bert: {groups: [g], tenant: t, act_as: anna}\ncarl: {expires: 100}\n"
    contexts = UserContexts(Users({}, write(path, text)), now=lambda: 100.0)
    context = contexts.context_of("bert")
    assert context is not None
    assert (context.user, context.groups, context.tenant) == ("bert", {"g"}, "t")
    # Whom somebody may act for is not handed on.
    assert context.act_as == frozenset()
    assert contexts.context_of("carl") is None
    assert contexts.context_of("dora") is None


def test_both_forms(path: Path) -> None:
    users = write(
        path,
        f"anna: {TEXT}\nbert:\n  groups: [a, b]\n  tenant: acme\n  attributes: {{x: [1, 2]}}\n"
        "  expires: 2030-01-01T00:00:00Z\n",
    ).read()
    assert users["anna"].verifier == VERIFIER
    assert users["bert"].verifier is None
    assert users["bert"].grants.groups == {"a", "b"}
    assert users["bert"].grants.expires == 1893456000
    assert UsersFile(path.with_name("none.yml")).read() == {}
    assert write(path, "# nobody\n").read() == {}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("anna: md5abc\n", "anna: a verifier reads SCRAM-SHA-256"),
        ("anna: {verifer: x}\n", "anna: unknown keys: verifer"),
        ("anna: [a]\n", "neither a verifier nor keys"),
        ("7: {}\n", "quote 7"),
        ("- anna\n", "no mapping of users"),
        (f"anna: {TEXT}\nanna: {{}}\n", "a key stands here twice"),
        ("anna: {groups: a, groups: b}\n", "a key stands here twice"),
        ("anna: {\n", "users.yml:2:1 is not YAML"),
        ("anna: {expires: 2030-99-99}\n", "malformed"),
        ("anna: {expires: 2030-01-01}\n", "expires"),
        ("anna: {expires: 2030-01-01 10:00:00}\n", "needs an offset"),
        ("anna: !!python/object/apply:os.getcwd []\n", "is not YAML"),
        ("[" * 5000, "is not YAML"),
    ],
)
def test_malformed(path: Path, text: str, complaint: str) -> None:
    with pytest.raises(UsersFileError) as caught:
        write(path, text).read()
    assert complaint in str(caught.value)
    assert "md5abc" not in str(caught.value).replace(str(path), "")


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(UsersFileError):
        file = write(Path(folder) / "users.yml", f"anna: {{groups: [{text}]}}\n{text}\n")
        assert all(isinstance(name, str) for name in file.read())


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_others_must_not_reach_it(path: Path, mode: int) -> None:
    with pytest.raises(UsersFileError, match="chmod 600"):
        write(path, f"anna: {TEXT}\n", mode).read()


def test_what_changes_is_taken_over_and_what_is_wrong_is_not(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    users = Users({"own": KnownUser()}, write(path, f"anna: {TEXT}\n"), 5000)

    def refreshed(text: str | None) -> set[str]:
        if text is None:
            path.unlink()
        else:
            write(path, text)
        asyncio.run(users.refresh())
        return {name for name in ("own", "anna", "bert") if users.get(name)}

    assert refreshed(f"bert: {TEXT}\nanna: {TEXT}\n") == {"own", "anna", "bert"}
    assert refreshed(f"bert: {TEXT}\n") == {"own", "bert"}
    assert refreshed("bert: {\n") == {"own", "bert"}
    assert refreshed(f"own: {TEXT}\n") == {"own", "bert"}
    dear = Verifier.of_password("x", b"s" * 16, 6000).text()
    assert refreshed(f"anna: {dear}\n") == {"own", "bert"}
    problems = [
        record.fields["problem"] for record in caplog.records if record.levelname == "ERROR"
    ]  # type: ignore[attr-defined]
    assert [text.split(": ", 1)[1][:25] for text in problems[1:]] == [
        "own stands in auth.users ",
        "the verifier of anna has ",
    ]
    assert refreshed(None) == {"own"}
    assert refreshed(f"anna: {TEXT}\n") == {"own", "anna"}


# ----------------------------------------------------------------------------------- the command


def users(path: Path, *arguments: str, stdin: str = "secret\n") -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdin", io.StringIO(stdin))
        return main(["users", *arguments, "--file", str(path)])


def test_command(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--group", "a", "--group", "b", "--role", "r", "--tenant", "t", "--act-as", "*"]
    attributes = ["--attribute", "region=north", "--attribute", "levels=[1, 2]"]
    assert users(path, "add", "anna", *options, *attributes) == 0
    assert path.stat().st_mode & 0o777 == 0o600
    assert users(path, "add", "anna") == 1
    assert users(path, "add", "bert", "--no-password", "--format", "json") == 0
    assert users(path, "passwd", "nobody") == users(path, "remove", "nobody") == 1
    assert users(path, "add", "carl", stdin="\n") == 1
    assert users(path, "add", "carl", "--attribute", "x") == 2
    assert users(path, "add", "carl", "--group", "*") == 1
    assert users(path, "add", "a\nb") == 2
    capsys.readouterr()
    assert users(path, "list", "--format", "json") == 0
    shown = capsys.readouterr().out
    assert "SCRAM" not in shown
    assert json.loads(shown)[0] == {
        "name": "anna",
        "password": True,
        "groups": ["a", "b"],
        "roles": ["r"],
        "attributes": {"region": "north", "levels": [1, 2]},
        "tenant": "t",
        "act_as": ["*"],
        "expires": None,
    }
    before = UsersFile(path).read()
    assert users(path, "passwd", "anna", "--iterations", "5000", stdin="other\n") == 0
    after = UsersFile(path).read()
    assert after["anna"].grants == before["anna"].grants
    verifier = after["anna"].verifier
    assert verifier is not None
    assert verifier.iterations == 5000
    assert verifier.matches("other")
    assert users(path, "remove", "anna") == 0
    assert set(UsersFile(path).read()) == {"bert"}
    leftovers = {each.name for each in path.parent.iterdir()}
    assert leftovers == {"users.yml", ".users.yml.lock"}


def test_command_takes_the_file_of_the_configuration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "cubewire.yml"
    config.write_text("auth: {users_file: logins.yml}\n")
    monkeypatch.setattr("sys.stdin", io.StringIO("secret\n"))
    assert main(["users", "add", "anna", "--config", str(config)]) == 0
    assert set(UsersFile(tmp_path / "logins.yml").read()) == {"anna"}
    config.write_text("auth: {users_file: logins.yml, users: {own: {password: x}}}\n")
    assert main(["users", "add", "own", "--config", str(config)]) == 2
    assert "stands in auth.users" in capsys.readouterr().err
    config.write_text("{}\n")
    assert main(["users", "list", "--config", str(config)]) == 2
    assert "auth.users_file" in capsys.readouterr().err


def test_writers_at_once_lose_nothing_and_readers_never_see_half(path: Path) -> None:
    file = UsersFile(path)
    done = threading.Event()
    seen: list[int] = []

    def read() -> None:
        while not done.is_set():
            seen.append(len(file.read()))

    def add(start: int) -> None:
        for number in range(start, start + 15):
            with file.locked():
                file.write({**file.read(), f"u{number}": next(iter(template.values()))})

    template = write(path, f"anna: {TEXT}\n").read()
    reader = threading.Thread(target=read)
    writers = [threading.Thread(target=add, args=(start,)) for start in (0, 100, 200)]
    for thread in (reader, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    reader.join()
    assert len(file.read()) == 46
    assert seen == sorted(seen)
    assert os.stat(path).st_mode & 0o777 == 0o600
