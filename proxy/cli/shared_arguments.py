"""Arguments that several commands take. Imports nothing heavy."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TypeAlias

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
"""What subcommands are added to."""


def add_command(
    commands: Commands,
    name: str,
    purpose: str,
    example: str,
) -> argparse.ArgumentParser:
    """A command, with an example in its help."""
    return commands.add_parser(
        name, help=purpose, description=purpose, epilog=f"example: {example}", allow_abbrev=False
    )


def add_configuration(parser: argparse.ArgumentParser) -> None:
    """Where the configuration comes from."""
    parser.add_argument(
        "--config",
        type=Path,
        metavar="F",
        help="configuration file (default: $CUBEWIRE_CONFIG, else ./cubewire.yml where it exists)",
    )
    parser.add_argument("--models", type=Path, metavar="DIR", help="folder of the model")
    parser.add_argument(
        "--demo", action="store_true", help="flights of 2013; login demo, password demo"
    )
    parser.add_argument(
        "--catalog-dsn", metavar="DSN", help="an external PostgreSQL 16 for the catalog"
    )


def add_format(parser: argparse.ArgumentParser) -> None:
    """Text for people, or JSON for programs."""
    parser.add_argument(
        "--format", choices=("text", "json"), default="text", help="of the output (default: text)"
    )
