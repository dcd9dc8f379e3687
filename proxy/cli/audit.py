"""``cubewire audit verify``: whether a chained audit trail is as it was written."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from proxy.audit.head import Head, HeadFile, head_path
from proxy.audit.opening import chain_key
from proxy.audit.verify import ChainReport, verify
from proxy.cli.configuration import UsageError, configuration, report


def run(arguments: argparse.Namespace) -> int:
    """Check the files; print what was found of each chain."""
    try:
        chains = _chains(arguments)
    except (UsageError, OSError) as error:
        return report(error)
    broken = not chains or any(chain.problem is not None for chain in chains)
    if arguments.format == "json":
        print(json.dumps({"intact": not broken, "chains": [_json(each) for each in chains]}))
    else:
        print("\n".join(_text(each) for each in chains) or "no lines")
    return 1 if broken else 0


def _chains(arguments: argparse.Namespace) -> list[ChainReport]:
    config = configuration(arguments)
    state = config.state_directory
    if config.audit.key is None and not (state / "login.secret").exists():
        raise UsageError(f"{state} holds no key of an audit trail: name the configuration")

    def head_of(chain: str) -> Head | None:
        return HeadFile(head_path(state, chain)).read()

    key = chain_key(config.audit, state)
    return verify(arguments.files, key, None if arguments.partial else head_of)


def _json(chain: ChainReport) -> dict[str, object]:
    return {**asdict(chain), "place": None if chain.place is None else str(chain.place)}


def _text(chain: ChainReport) -> str:
    if chain.problem is not None:
        where = "" if chain.place is None else f"{chain.place}: "
        return f"{where}{chain.problem} ({chain.name})"
    return f"{chain.name}: intact, {chain.lines} lines, {chain.first} to {chain.last}"
