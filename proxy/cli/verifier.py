"""``cubewire verifier``: a verifier for the configuration, made of a password nobody else sees."""

from __future__ import annotations

import argparse
import getpass
import secrets
import sys

from proxy.auth.verifier import MINIMUM_ITERATIONS, SALT_BYTES, Verifier, VerifierError
from proxy.cli.configuration import UsageError, report


def run(arguments: argparse.Namespace) -> int:
    """Ask for a password (or read one line of standard input) and print its verifier."""
    if arguments.iterations < MINIMUM_ITERATIONS:
        return report(UsageError(f"--iterations must be at least {MINIMUM_ITERATIONS}"))
    password = getpass.getpass() if sys.stdin.isatty() else sys.stdin.readline().rstrip("\r\n")
    salt = secrets.token_bytes(SALT_BYTES)
    try:
        print(Verifier.of_password(password, salt, arguments.iterations).text())
    except VerifierError as error:
        return report(error)
    return 0
