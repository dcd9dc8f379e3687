"""``cubewire users``: adds, changes, lists and removes logins of the users file.

A running server reads the file again when it changes. Passwords come from the terminal or from
standard input, never from the command line, which everybody on a machine can read.
"""

from __future__ import annotations

import argparse
import dataclasses
import getpass
import json
import secrets
import sys
from collections.abc import Mapping, Sequence

import yaml

from proxy.auth.grants import Grants, GrantsError
from proxy.auth.patterns import LONGEST_NAME
from proxy.auth.users_file import Entry, UsersFile, UsersFileError
from proxy.auth.verifier import MINIMUM_ITERATIONS, SALT_BYTES, Verifier, VerifierError
from proxy.cli.audited import UnauditedError, audited
from proxy.cli.configuration import UsageError, configuration, report
from proxy.config import Config
from semantic.model.values import thaw

_KEYS = ("groups", "roles", "act_as")


def run(arguments: argparse.Namespace) -> int:
    """Do what was asked; exits 1 where the user does not exist, or does already."""
    actions = {"add": _add, "passwd": _passwd, "list": _list, "remove": _remove}
    try:
        config = configuration(arguments)
        file = _file(arguments, config)
        act = actions[arguments.action]
        if arguments.action == "list":
            act(file, arguments)
        else:
            with audited(config, f"users {arguments.action}", arguments.name):
                act(file, arguments)
    except (UsageError, UnauditedError, UsersFileError, VerifierError, GrantsError) as error:
        return report(error)
    return 0


def _file(arguments: argparse.Namespace, config: Config) -> UsersFile:
    """The file given, else that of the configuration."""
    if arguments.file is not None:
        return UsersFile(arguments.file)
    configured = config.auth.users_file
    if configured is None:
        raise UsageError("no users file: set auth.users_file in the configuration, or name one")
    if arguments.action == "add" and arguments.name in config.auth.users:
        raise UsageError(f"user {arguments.name} stands in auth.users of the configuration")
    return UsersFile(configured)


def _add(file: UsersFile, arguments: argparse.Namespace) -> None:
    name = _name(arguments.name)
    grants = _grants(arguments)
    if name in file.read():
        raise UsersFileError(f"user {name} exists already")
    verifier = None if arguments.no_password else _verifier(arguments.iterations)
    with file.locked():
        users = file.read()
        if name in users:
            raise UsersFileError(f"user {name} exists already")
        file.write({**users, name: Entry(verifier, grants)})
    _show_done("added", name, arguments)


def _passwd(file: UsersFile, arguments: argparse.Namespace) -> None:
    _existing(file, arguments.name)
    verifier = _verifier(arguments.iterations)
    with file.locked():
        entry = _existing(file, arguments.name)
        changed = dataclasses.replace(entry, verifier=verifier)
        file.write({**file.read(), arguments.name: changed})
    _show_done("changed", arguments.name, arguments)


def _remove(file: UsersFile, arguments: argparse.Namespace) -> None:
    with file.locked():
        _existing(file, arguments.name)
        kept = {name: entry for name, entry in file.read().items() if name != arguments.name}
        file.write(kept)
    _show_done("removed", arguments.name, arguments)


def _list(file: UsersFile, arguments: argparse.Namespace) -> None:
    users = sorted(file.read().items())
    if arguments.format == "json":
        print(json.dumps([_as_object(name, entry) for name, entry in users], indent=1))
        return
    for name, entry in users:
        shown = _as_object(name, entry)
        details = [f"{key}={_text(shown[key])}" for key in shown if key != "name" and shown[key]]
        print("  ".join([f"{name:20}", *details]).rstrip())


def _existing(file: UsersFile, name: str) -> Entry:
    entry = file.read().get(name)
    if entry is None:
        raise UsersFileError(f"there is no user {name} in {file.path}")
    return entry


def _name(text: str) -> str:
    if not 0 < len(text) <= LONGEST_NAME or not text.isprintable():
        raise UsageError(f"a user's name has 1 to {LONGEST_NAME} printable characters")
    return text


def attributes_of(texts: Sequence[str]) -> dict[str, object]:
    """The attributes that ``--attribute NAME=VALUE`` gives. Raises UsageError."""
    attributes: dict[str, object] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise UsageError(f"--attribute is NAME=VALUE, not {text!r}")
        try:
            attributes[key] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise UsageError(f"the value of --attribute {key} is not YAML") from None
    return attributes


def _grants(arguments: argparse.Namespace) -> Grants:
    attributes = attributes_of(arguments.attribute)
    listed = {key: getattr(arguments, key) for key in _KEYS}
    return Grants.read({**listed, "attributes": attributes, "tenant": arguments.tenant})


def _verifier(iterations: int) -> Verifier:
    if iterations < MINIMUM_ITERATIONS:
        raise UsageError(f"--iterations must be at least {MINIMUM_ITERATIONS}")
    return Verifier.of_password(_password(), secrets.token_bytes(SALT_BYTES), iterations)


def _password() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    first = getpass.getpass("Password: ")
    if getpass.getpass("Again: ") != first:
        raise UsageError("the passwords differ")
    return first


def _as_object(name: str, entry: Entry) -> dict[str, object]:
    """All but the verifier, which is worth guessing at."""
    grants = entry.grants
    return {
        "name": name,
        "password": entry.verifier is not None,
        "groups": sorted(grants.groups),
        "roles": sorted(grants.roles),
        "attributes": thaw(grants.attributes),
        "tenant": grants.tenant,
        "act_as": sorted(grants.act_as),
        "expires": grants.expires,
    }


def _text(value: object) -> str:
    if value is True:
        return "yes"
    if isinstance(value, list):
        return ",".join(map(str, value))
    return json.dumps(value, ensure_ascii=False) if isinstance(value, Mapping) else str(value)


def _show_done(what: str, name: str, arguments: argparse.Namespace) -> None:
    if arguments.format == "json":
        print(json.dumps({what: name}))
    else:
        print(f"{what} {name}")
