from __future__ import annotations

from pathlib import Path

import pytest

from proxy.config import ConfigError, load_config
from proxy.config.sources import SOURCES
from tests.config.test_reference import kinds_of

VERIFIER = (
    "SCRAM-SHA-256$4096:99CicFklAofho3f5eK6s6g==$4LuMVDXmG1vqlsk2MvF8BSHfJLTiX6bRc4b4mN6v3R8="
    ":SA9L+0Ars9DZYhcN0hFqgoMQW79mB7UaERF78PdVMGc="
)

KINDS = [kind for source in SOURCES for kind in kinds_of(source)]


def write(folder: Path, text: str) -> Path:
    path = folder / "cubewire.yml"
    path.write_text(text)
    return path


def problems(path: Path | None, environment: dict[str, str] | None = None, **over: object) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(path, environment or {}, {k.replace("__", "."): v for k, v in over.items()})
    text = str(caught.value)
    return text.replace(f"{path.parent}/", "") if path is not None else text


def test_defaults() -> None:
    config = load_config(None, {}, {})
    assert config.server.port == 15432
    assert config.server.admin_port == 0
    assert config.server.authentication_timeout == 60
    assert config.server.shutdown_grace == 30
    assert config.tls.mode == "allow"
    assert config.auth.method == "scram"
    assert config.database == "cubewire"
    assert config.measure_aggregates.default == "strict"


def test_file_then_environment_then_command_line(tmp_path: Path) -> None:
    path = write(tmp_path, "server: {host: 10.0.0.1, port: 1, workers: 2}\n")
    environment = {"CUBEWIRE_SERVER__PORT": "2", "CUBEWIRE_SERVER__WORKERS": "3", "PATH": "/bin"}
    config = load_config(path, environment, {"server.workers": 4})
    assert (config.server.host, config.server.port, config.server.workers) == ("10.0.0.1", 2, 4)


def test_environment_reaches_everything() -> None:
    environment = {
        "CUBEWIRE_AUTH__USERS__ANNA__PASSWORD": "0123",
        "CUBEWIRE_DATA_SOURCES__DEFAULT": "{type: duckdb, path: a.db}",
        "CUBEWIRE_SERVER__IDLE_TIMEOUT": "5min",
        "CUBEWIRE_SERVER__MAX_MESSAGE_BYTES": "8 MiB",
        "CUBEWIRE_LOG__SQL": "true",
        "CUBEWIRE_CONFIG": "read by the command line",
    }
    config = load_config(None, environment)
    password = config.auth.users["anna"].password
    assert password is not None
    assert password.get_secret_value() == "0123"
    assert config.data_sources["default"].type == "duckdb"
    assert config.server.idle_timeout == 300
    assert config.server.max_message_bytes == 8 * 2**20
    assert config.log.sql


def test_every_problem_at_once_with_its_place_and_the_nearest_name(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "server:\n"
        "  prot: 3\n"
        "  port: abc\n"
        "data_sources:\n"
        "  default: {type: duckdb, pth: x.db}\n"
        "  other: {type: oracle}\n"
        "tls: {certificate: a}\n",
    )
    text = problems(path, {"CUBEWIRE_SERVER__PRT": "3", "CUBEWIRE_SEVER__PORT": "2"}, nothing=1)
    assert text.splitlines() == [
        'CUBEWIRE_SERVER__PRT: server.prt: unknown key "prt"; did you mean "port"?',
        'CUBEWIRE_SEVER__PORT: sever.port: unknown key "sever"; did you mean "server"?',
        'command line: nothing: unknown key "nothing"; known here: database, models, '
        "state_directory, server, tls, auth, data_sources, limits, catalog, temporary_tables, "
        "cache, parser, log, metrics, system_tables, tracing, security, tenancy, functions, audit, "
        "measure_aggregates, rollups, staging, reload",
        "cubewire.yml:3:3: server.port: input should be a valid integer, unable to parse string "
        "as an integer",
        'cubewire.yml:2:3: server.prot: unknown key "prot"; did you mean "port"?',
        "cubewire.yml:7:1: tls: tls.certificate and tls.key are given together",
        'cubewire.yml:5:27: data_sources.default.pth: unknown key "pth"; did you mean "path"?',
        "cubewire.yml:6:3: data_sources.other: input tag 'oracle' found using 'type' does not "
        f"match any of the expected tags: {', '.join(map(repr, KINDS))}",
    ]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("server: [1]\n", "server: input should be a valid dictionary"),
        ("- a\n", "must be a mapping"),
        ("server: {port: 1\n", "is not YAML"),
        ("server: {port: 70000}", "less than or equal to 65535"),
        (
            "server: {port: 1}\nserver: {port: 2}\n",
            "cubewire.yml:2:1: server: stands here",
        ),
        ("server: {idle_timeout: 5 weeks}", "a duration is a number of seconds"),
        ("server: {idle_timeout: -1}", "greater than or equal to 0"),
        ("server: {max_message_bytes: 5 pounds}", "a size is a number of bytes"),
        ("auth: {users: {a: {}}}", "either a password or a verifier"),
        ("auth: {users: {a: {password: ''}}}", "a password is empty"),
        ("auth: {users: {a: {verifier: md5abc}}}", "a verifier reads SCRAM-SHA-256"),
        ("auth: {method: password}", "needs tls.mode require"),
        ("auth: {method: trust}\nserver: {host: 0.0.0.0}", "must be a loopback address"),
        ("auth: {method: trust}\nserver: {host: example.org}", "must be a loopback address"),
        ("measure_aggregates: {by_user: {a: maybe}}", "'strict' or 'defined'"),
        ("\x00", "is not YAML"),
    ],
)
def test_refused(tmp_path: Path, text: str, complaint: str) -> None:
    assert complaint in problems(write(tmp_path, text))


def test_missing_file(tmp_path: Path) -> None:
    assert "cannot be read" in problems(tmp_path / "none.yml")


def test_empty_file_is_all_defaults(tmp_path: Path) -> None:
    assert load_config(write(tmp_path, "# nothing\n"), {}) == load_config(None, {})


def test_secrets_are_in_no_message_and_no_repr(tmp_path: Path) -> None:
    text = "auth: {users: {a: {password: hunter2, verifier: hunter3}}}\ncatalog: {dns: hunter4}\n"
    assert "hunter" not in problems(write(tmp_path, text))
    good = f"auth: {{users: {{a: {{password: hunter2}}, b: {{verifier: '{VERIFIER}'}}}}}}\n"
    source = "data_sources: {d: {type: postgres, dsn: 'postgresql://u:hunter5@h/d'}}\n"
    config = load_config(write(tmp_path, good + source), {})
    assert "hunter" not in repr(config)
    assert "4LuMVDX" not in repr(config)


def test_paths_in_a_file_count_from_it(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "models: cubes\nlog: {file: /var/log/x}\n"
        "data_sources: {a: {type: duckdb, path: a.db}, b: {type: duckdb}}\n",
    )
    config = load_config(path, {"CUBEWIRE_STATE_DIRECTORY": "here"}, {})
    assert config.models == tmp_path / "cubes"
    assert config.log.file == Path("/var/log/x")
    assert config.state_directory == Path("here")
    sources = [source.model_dump()["path"] for source in config.data_sources.values()]
    assert sources == [str(tmp_path / "a.db"), ":memory:"]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_trust_on_loopback(host: str) -> None:
    assert load_config(None, {}, {"auth.method": "trust", "server.host": host})


def test_password_method_bounds_the_cost_of_a_verifier() -> None:
    values = {
        "auth.method": "password",
        "tls.mode": "require",
        "auth.users.a.verifier": VERIFIER.replace("4096", "200000"),
    }
    assert "at most 100000" in problems(
        None, {}, **{k.replace(".", "__"): v for k, v in values.items()}
    )
    assert load_config(None, {}, {**values, "auth.users.a.verifier": VERIFIER})


def test_measure_aggregates_by_user_then_application() -> None:
    chosen = {"by_user": {"u": "defined"}, "by_application": {"a": "defined", "u": "strict"}}
    config = load_config(None, {}, {"measure_aggregates": chosen})
    assert config.measure_aggregates_for("u", "u") == "defined"
    assert config.measure_aggregates_for("x", "a") == "defined"
    assert config.measure_aggregates_for("x", "x") == "strict"


def test_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_config(None, {}).server.port = 1  # type: ignore[misc]
