"""The table of all keys, generated from their definitions.

``python -m proxy.config.reference`` prints it; ``--write README.md`` puts it between the marks of
that file; a test holds the two together.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from proxy.config.loading import PREFIX
from proxy.config.shape import fields, is_path

BEGIN = "<!-- configuration:begin (python -m proxy.config.reference --write README.md) -->"
END = "<!-- configuration:end -->"
_KINDS: dict[Any, str] = {int: "integer", float: "seconds", str: "text", bool: "boolean"}


def table() -> str:
    """Markdown: key, kind of value, default, meaning."""
    lines = ["| key | value | default | meaning |", "|---|---|---|---|"]
    lines += [
        f"| `{name}` | {_kind(field)} | {_default(field)} | {field.description} |"
        for name, field in fields()
    ]
    return "\n".join(lines)


def variable(key: str) -> str:
    """The environment variable of a key.

    >>> variable("server.port")
    'CUBEWIRE_SERVER__PORT'
    """
    return PREFIX + key.upper().replace(".", "__")


def replaced(text: str) -> str:
    """A document with a fresh table between its marks.

    Raises:
        ValueError: the marks are missing.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError("the document has no marks for the table")
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}"


def _kind(field: FieldInfo) -> str:
    options = [each for each in get_args(field.annotation) if each is not type(None)]
    if get_origin(field.annotation) is Literal:
        return " or ".join(f"`{each}`" for each in options)
    if get_origin(field.annotation) is dict:
        return "values by name" if get_args(field.annotation)[1] is Any else "by name"
    if get_origin(field.annotation) is tuple:
        return "list"
    if is_path(field):
        return "path"
    plain = options[0] if options else field.annotation
    inner = get_args(plain) if get_origin(plain) is Annotated else (plain, *field.metadata)
    if inner[0] is int and any("bytes" in str(each) for each in inner[1:]):
        return "bytes"
    if inner[0] is float and not any("seconds" in str(each) for each in inner[1:]):
        return "number"
    return _KINDS.get(inner[0], "secret")


def _default(field: FieldInfo) -> str:
    if field.default_factory is not None:
        return ""
    value: Any = field.default
    if value is PydanticUndefined:
        return "required"
    if value in (None, "", ()):
        return ""
    if isinstance(value, bool):
        return "`true`" if value else "`false`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def main(arguments: list[str]) -> int:
    """Print the table, or write it into a document."""
    parser = argparse.ArgumentParser(prog="python -m proxy.config.reference")
    parser.add_argument("--write", type=Path, metavar="FILE")
    target = parser.parse_args(arguments).write
    if target is None:
        sys.stdout.write(table() + "\n")
    else:
        target.write_text(replaced(target.read_text()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
