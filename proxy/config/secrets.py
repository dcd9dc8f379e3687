"""Values of data sources that stand elsewhere: in the environment, a file, a command's output.

In place of a text there may be ``{env: NAME}``, ``{file: PATH}`` or ``{command: [program, ...]}``,
at any depth. They are read once, when the configuration is.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

COMMAND_SECONDS = 30.0


class SecretError(Exception):
    """A value cannot be had. The message does not hold any part of one."""

    def __init__(self, keys: tuple[str, ...], message: str) -> None:
        super().__init__(message)
        self.keys = keys


def with_secrets(
    values: Any, folder: Path, environment: Mapping[str, str], keys: tuple[str, ...] = ()
) -> Any:
    """The same values, references to secrets replaced.

    Args:
        values: mappings, lists and plain values.
        folder: of the configuration, from which relative files count.
        environment: where ``env`` looks.
        keys: where the values stand, for messages.

    Raises:
        SecretError: a variable or file is missing, a command fails.
    """
    if isinstance(values, list):
        return [
            with_secrets(item, folder, environment, (*keys, str(place)))
            for place, item in enumerate(values)
        ]
    if not isinstance(values, dict):
        return values
    if len(values) == 1:
        ((name, value),) = values.items()
        read = _READERS.get(name)
        if read is not None and isinstance(value, str | list):
            try:
                return read(value, folder, environment)
            except (OSError, ValueError, subprocess.SubprocessError) as error:
                raise SecretError(keys, _complaint(str(name), error)) from None
    return {
        key: with_secrets(value, folder, environment, (*keys, str(key)))
        for key, value in values.items()
    }


def _environment(value: str | list[Any], _folder: Path, environment: Mapping[str, str]) -> str:
    if not isinstance(value, str):
        raise ValueError("env takes the name of a variable")  # noqa: TRY004 - of the file's owner
    if value not in environment:
        raise ValueError(f"the environment has no variable {value}")
    return environment[value]


def _file(value: str | list[Any], folder: Path, _environment: Mapping[str, str]) -> str:
    if not isinstance(value, str):
        raise ValueError("file takes a path")  # noqa: TRY004 - of the file's owner
    return (folder / value).read_text(encoding="utf-8").rstrip("\r\n")


def _command(value: str | list[Any], folder: Path, environment: Mapping[str, str]) -> str:
    if not isinstance(value, list) or not value or not all(isinstance(x, str) for x in value):
        raise ValueError("command takes a list: a program and its arguments")
    done = subprocess.run(
        value,
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        timeout=COMMAND_SECONDS,
        check=True,
    )
    return done.stdout.decode("utf-8").rstrip("\r\n")


_READERS: Mapping[object, Callable[[str | list[Any], Path, Mapping[str, str]], str]] = {
    "env": _environment,
    "file": _file,
    "command": _command,
}


def _complaint(name: str, error: Exception) -> str:
    if isinstance(error, subprocess.TimeoutExpired):
        return f"the command did not end within {COMMAND_SECONDS:g} seconds"
    if isinstance(error, subprocess.CalledProcessError):
        return f"the command ended with status {error.returncode}"
    if isinstance(error, UnicodeError):
        return f"{name}: what was read is not UTF-8"
    if isinstance(error, OSError):
        return f"{name}: {error.filename or ''}: {error.strerror or error}"
    return str(error)
