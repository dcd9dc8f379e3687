"""``cubewire rollups suggest``: pre-aggregations for the statements of a log."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Sequence

from proxy.cli.configuration import UsageError
from proxy.config import Config
from proxy.rollups.advisor import Advisor, Estimate, yaml_lines
from proxy.rollups.model_files import WriteError, write_suggestions
from proxy.rollups.query_log import LoggedText, NoStatementsError, read_log
from proxy.startup import open_model
from semantic.compiler.api import CompiledStatement, SessionSettings
from semantic.compiler.compiler import Compiler
from semantic.compiler.rollups.advise import LoggedStatement
from semantic.compiler.rollups.needs import Need
from semantic.errors import SemanticError
from semantic.model.model import Model

_MOST_STATEMENTS = 200
"""Of the log, the most costly ones: each is compiled a few times."""


def suggest(arguments: argparse.Namespace, config: Config) -> int:
    """Print what would have helped, or write it into the model."""
    try:
        if str(arguments.log) == "-":
            texts = read_log(sys.stdin)
        else:
            with arguments.log.open(encoding="utf-8", errors="replace") as lines:
                texts = read_log(lines)
    except (NoStatementsError, OSError) as error:
        raise UsageError(f"{arguments.log}: {error}") from None
    found = asyncio.run(_suggest(config, texts, arguments.most))
    if arguments.format == "json":
        print(json.dumps([_as_json(each) for each in found], indent=2))
    else:
        _print(found)
    if arguments.write and found:
        try:
            suggestions = [each.suggestion for each in found]
            paths = write_suggestions(config.models, os.environ, suggestions)
        except WriteError as error:
            raise UsageError(str(error)) from None
        print(f"written to {', '.join(map(str, paths))}", file=sys.stderr)
    return 0


async def _suggest(config: Config, texts: Sequence[LoggedText], most: int) -> list[Estimate]:
    async with open_model(config) as (generation, connectors):
        # What is stored must serve everybody, so statements are read as those of one who sees all.
        settings = SessionSettings("cubewire", config.database)
        dialects = {name: each.dialect for name, each in connectors.items()}

        def make_compiler(model: Model) -> Compiler:
            return Compiler(model, generation.published, dialects)

        async def count_rows(statement: CompiledStatement) -> int:
            stream = await connectors[statement.data_source].execute(
                f"SELECT COUNT(*) AS n FROM ({statement.sql}) AS stored"
            )
            counts = [batch.column(0)[0].as_py() async for batch in stream]
            return int(counts[0])

        logged = [
            LoggedStatement(
                _needs(generation.compiler, text.sql, settings), text.times, text.seconds
            )
            for text in texts[:_MOST_STATEMENTS]
        ]
        advisor = Advisor(generation.model, make_compiler, settings, count_rows)
        return await advisor.suggest(logged, most)


def _needs(compiler: Compiler, sql: str, settings: SessionSettings) -> tuple[Need, ...]:
    """What would answer a statement; nothing for one that the model does not understand by now."""
    try:
        bound = compiler.bind(sql, settings)
        return () if bound is None else compiler.rollup_needs(bound, settings)
    except SemanticError:
        return ()


def _print(found: Sequence[Estimate]) -> None:
    if not found:
        print("nothing that would save enough")
    cube = ""
    for each in sorted(found, key=lambda each: each.suggestion.stores.cube):
        suggestion = each.suggestion
        if suggestion.stores.cube != cube:
            cube = suggestion.stores.cube
            print(f"# cube {cube}\npre_aggregations:")
        print(
            f"  # {suggestion.times} statements; {each.rows:,} rows of {each.source_rows:,};"
            f" saves about {each.saved:.1f} s of {suggestion.seconds:.1f} s"
        )
        print("\n".join(yaml_lines(suggestion.as_mapping(), 2)))


def _as_json(estimate: Estimate) -> dict[str, object]:
    suggestion = estimate.suggestion
    return {
        "cube": suggestion.stores.cube,
        "pre_aggregation": suggestion.as_mapping(),
        "hits": suggestion.times,
        "rows": estimate.rows,
        "source_rows": estimate.source_rows,
        "seconds": round(suggestion.seconds, 3),
        "saved_seconds": round(estimate.saved, 3),
    }
