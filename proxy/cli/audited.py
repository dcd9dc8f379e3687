"""Acts of the command line in the audit trail: a chain of its own, beside those of the servers."""

from __future__ import annotations

import os
import pwd
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from proxy.audit.opening import open_trail
from proxy.audit.trail import AuditTrail
from proxy.config import Config

SOURCE = "cli"
"""Names the chain, and the file: ``audit.cli.jsonl``."""

_TRIES = 20
_PAUSE = 0.1
"""Seconds: another command may be writing just now."""


class UnauditedError(Exception):
    """Nothing is done, since it would leave no trace and the configuration requires one."""


@contextmanager
def audited(config: Config, action: str, target: str) -> Iterator[None]:
    """Note in the trail that something was done, or was tried in vain.

    Args:
        config: whose audit section says where.
        action: such as ``users add``.
        target: the user, or whatever it is done to.

    Raises:
        UnauditedError: the trail is required, and cannot be written.
    """
    trail = _open(config)
    login = f"system user {_system_user()}"
    try:
        _check_written(trail)
        try:
            yield
        except BaseException:
            trail.administration(action, login=login, target=target, outcome="failed")
            raise
        trail.administration(action, login=login, target=target)
    finally:
        trail.close()


def _open(config: Config) -> AuditTrail:
    for left in reversed(range(_TRIES)):
        try:
            return open_trail(
                config.audit, config.state_directory, SOURCE, several=True, stdout=sys.stderr
            )
        except OSError as error:
            if left:
                time.sleep(_PAUSE)
            elif config.audit.required:
                raise UnauditedError(f"the audit trail cannot be written: {error}") from error
            else:
                print(f"cubewire: not audited: {error}", file=sys.stderr)
    return AuditTrail()


def _check_written(trail: AuditTrail) -> None:
    """Wait until the trail's first line is kept, where one must be."""
    while trail.required and not trail.written:
        if trail.stops_service is not None:
            raise UnauditedError(trail.stops_service)
        time.sleep(_PAUSE / 10)


def _system_user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
