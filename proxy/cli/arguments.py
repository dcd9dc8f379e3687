"""What the command line takes. Imports nothing heavy: every call goes through here."""

from __future__ import annotations

import argparse
from pathlib import Path

from proxy.cli.rollup_arguments import add_refresh, add_rollups
from proxy.cli.shared_arguments import Commands
from proxy.cli.shared_arguments import add_command as _add
from proxy.cli.shared_arguments import add_configuration as _add_configuration
from proxy.cli.shared_arguments import add_format as _add_format

_DESCRIPTION = "A semantic layer that speaks the PostgreSQL wire protocol."


def make_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="cubewire",
        description=_DESCRIPTION,
        epilog="example: cubewire serve --demo",
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_serve(commands)
    _add_check(commands)
    _add_statement(
        commands,
        "compile",
        "print the warehouse's SQL of a statement",
        'cubewire compile --demo "SELECT carrier, MEASURE(count) FROM flights GROUP BY 1"',
    )
    _add_statement(
        commands,
        "explain",
        "print the plan of a statement",
        'cubewire explain --demo "SELECT COUNT(*) FROM flights"',
    )
    functions = _add(
        commands,
        "functions",
        "print which functions are exact on which warehouse, as the tests have it",
        "cubewire functions to_char percentile_cont --format json",
    )
    functions.add_argument("names", nargs="*", metavar="NAME", help="only these (default: all)")
    _add_config(functions)
    _add_format(functions)
    add_rollups(commands)
    add_refresh(commands)
    _add_access(commands)
    _add_audit(commands)
    _add_cache(commands)
    _add_kill(commands)
    _add_top(commands)
    verifier = _add(
        commands,
        "verifier",
        "make the verifier of a password for auth.users",
        "cubewire verifier < password.txt",
    )
    _add_iterations(verifier)
    _add_users(commands)
    version = _add(commands, "version", "print the version", "cubewire version --format json")
    _add_format(version)
    return parser


def _add_serve(commands: Commands) -> None:
    serve = _add(
        commands,
        "serve",
        "run the server; prints `ready <DSN>` once it serves",
        "cubewire serve --config cubewire.yml --workers 4",
    )
    _add_configuration(serve)
    serve.add_argument("--host", metavar="H", help="address to listen on")
    serve.add_argument("--port", type=int, metavar="P", help="port to listen on; 0 picks one")
    serve.add_argument(
        "--admin-port", type=int, metavar="A", help="port of /metrics, /healthz, /readyz; 0: none"
    )
    serve.add_argument("--workers", type=int, metavar="N", help="processes that share the port")
    # How the parent tells a worker its place; not for people.
    serve.add_argument("--worker", type=int, help=argparse.SUPPRESS)
    serve.add_argument("--run-directory", type=Path, help=argparse.SUPPRESS)


def _add_users(commands: Commands) -> None:
    users = _add(
        commands,
        "users",
        "add, change, list and remove logins of the users file",
        "cubewire users add anna --group analysts --attribute region=north < password.txt",
    )
    actions = users.add_subparsers(dest="action", required=True, metavar="ACTION")
    add = _add(actions, "add", "add a login", "cubewire users add anna --group analysts")
    add.add_argument("name", metavar="NAME")
    _add_many(add, "--group", "a group of the user", "groups")
    _add_many(add, "--role", "a role of the user", "roles")
    _add_many(add, "--act-as", "a user to impersonate, or * for all", "act_as")
    _add_values(add)
    add.add_argument(
        "--no-password", action="store_true", help="for one who logs in by token or certificate"
    )
    passwd = _add(actions, "passwd", "set a password", "cubewire users passwd anna")
    passwd.add_argument("name", metavar="NAME")
    for parser in (add, passwd):
        _add_iterations(parser)
    listing = _add(actions, "list", "show all logins", "cubewire users list --format json")
    remove = _add(actions, "remove", "remove a login", "cubewire users remove anna")
    remove.add_argument("name", metavar="NAME")
    for parser in (add, passwd, listing, remove):
        parser.add_argument("--file", type=Path, metavar="F", help="instead of auth.users_file")
        _add_config(parser)
        _add_format(parser)


def _add_access(commands: Commands) -> None:
    access = _add(
        commands,
        "access",
        "show who may see what, and test that it is so",
        "cubewire access show --user anna",
    )
    actions = access.add_subparsers(dest="action", required=True, metavar="ACTION")
    show = _add(
        actions,
        "show",
        "print the cubes, members, masks and row rules of a user",
        "cubewire access show --user anna --group analysts --attribute region=north",
    )
    _add_many(show, "--group", "a group besides those configured", "group")
    _add_many(show, "--role", "a role besides those configured", "role")
    _add_values(show)
    diff = _add(
        actions,
        "diff",
        "print what two users see differently; exits 1 where there is something",
        "cubewire access diff --user anna --user bert",
    )
    for parser in (show, diff):
        parser.add_argument(
            "--user", action="append", default=[], required=True, metavar="U", help="login name"
        )
    test = _add(
        actions,
        "test",
        "run the model's tests of access policies; exits 1 where one fails",
        "cubewire access test --config cubewire.yml --format json",
    )
    for parser in (show, diff, test):
        _add_configuration(parser)
        _add_format(parser)


def _add_cache(commands: Commands) -> None:
    cache = _add(
        commands,
        "cache",
        "make cached results invalid, through the admin port of a running server",
        "cubewire cache invalidate --cube flights",
    )
    cache.add_argument("action", choices=("invalidate",), help="what to do")
    cache.add_argument(
        "--cube", action="append", default=[], metavar="C", help="of this cube, repeatable"
    )
    _add_config(cache)
    _add_format(cache)


def _add_kill(commands: Commands) -> None:
    kill = _add(
        commands,
        "kill",
        "end a statement, a session or all that a user runs, through a server's admin port",
        "cubewire kill 4194308-5",
    )
    kill.add_argument(
        "id", nargs="?", metavar="ID", help="a statement's (7-12) or a session's process id (7)"
    )
    kill.add_argument(
        "--host", metavar="H", help="the server that has it, as `cubewire top` names it"
    )
    kill.add_argument("--user", metavar="U", help="login name, or for whom statements are run")
    then = kill.add_mutually_exclusive_group()
    then.add_argument(
        "--block",
        dest="then",
        action="store_const",
        const="block",
        help="let no statement of the user begin until this is lifted",
    )
    then.add_argument(
        "--lift", dest="then", action="store_const", const="lift", help="end nothing; lift that"
    )
    kill.set_defaults(then="")
    _add_config(kill)
    _add_format(kill)


def _add_top(commands: Commands) -> None:
    top = _add(
        commands,
        "top",
        "show the statements that run now, through the admin port of a running server",
        "cubewire top --once --format json",
    )
    top.add_argument("--once", action="store_true", help="print them and end")
    top.add_argument(
        "--interval", type=float, default=1.0, metavar="S", help="seconds (default: 1)"
    )
    _add_config(top)
    _add_format(top)


def _add_check(commands: Commands) -> None:
    check = _add(
        commands,
        "check",
        "check the model; exits 1 where there are problems",
        "cubewire check cube_models --format json",
    )
    check.add_argument(
        "path", nargs="?", type=Path, metavar="PATH", help="the model's folder or one file of it"
    )
    _add_config(check)
    _add_format(check)


def _add_audit(commands: Commands) -> None:
    audit = _add(
        commands,
        "audit",
        "check a chained audit trail; exits 1 where it was changed, cut or reordered",
        "cubewire audit verify audit.jsonl*",
    )
    audit.add_argument("action", choices=("verify",), help="what to do")
    audit.add_argument(
        "files", nargs="+", type=Path, metavar="FILE", help="all files of the trail, in any order"
    )
    _add_config(audit)
    audit.add_argument(
        "--partial", action="store_true", help="the newest files are not among these"
    )
    _add_format(audit)


def _add_statement(
    commands: Commands,
    name: str,
    purpose: str,
    example: str,
) -> None:
    command = _add(commands, name, purpose, example)
    command.add_argument("sql", metavar="SQL", help="one statement; - reads standard input")
    command.add_argument("--user", default="cubewire", metavar="U", help="as whom (login name)")
    _add_configuration(command)
    _add_format(command)


def _add_config(parser: argparse.ArgumentParser) -> None:
    """For commands that need the configuration only where its defaults will not do."""
    parser.add_argument("--config", type=Path, metavar="F", help="configuration file")


def _add_iterations(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--iterations", type=int, default=4096, metavar="N", help="rounds (default: 4096)"
    )


def _add_many(
    parser: argparse.ArgumentParser, option: str, purpose: str, key: str, metavar: str = "NAME"
) -> None:
    parser.add_argument(
        option,
        dest=key,
        action="append",
        default=[],
        metavar=metavar,
        help=f"{purpose}; may be repeated",
    )


def _add_values(parser: argparse.ArgumentParser) -> None:
    """What policies may ask of a user besides groups and roles."""
    _add_many(parser, "--attribute", "a value for policies, as YAML", "attribute", "NAME=VALUE")
    parser.add_argument("--tenant", metavar="NAME", help="the user's tenant")
