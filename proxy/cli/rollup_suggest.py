"""``cubewire rollups suggest``: pre-aggregations for the statements of a log."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Sequence

from proxy.catalog.errors import CatalogError
from proxy.cli.configuration import UsageError
from proxy.config import Config
from proxy.queries import Caller, CubeQuery
from proxy.rollups.advisor import GRAINS, Advisor, Logged, Suggestion
from proxy.rollups.model_files import WriteError, item_lines, write_suggestions
from proxy.rollups.query_log import LoggedText, NoStatementsError, read_log
from proxy.scopes import Scope
from proxy.startup import open_engine
from semantic.compiler.api import CompiledStatement, SessionSettings
from semantic.compiler.compiler import Compiler
from semantic.errors import SemanticError
from semantic.model.model import Model
from semantic.security.access import OPEN
from semantic.security.context import SecurityContext

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
            paths = write_suggestions(config.models, os.environ, found)
        except WriteError as error:
            raise UsageError(str(error)) from None
        print(f"written to {', '.join(map(str, paths))}", file=sys.stderr)
    return 0


async def _suggest(config: Config, texts: Sequence[LoggedText], most: int) -> list[Suggestion]:
    async with open_engine(config) as engine:
        generation = engine.scopes.generation
        settings = SessionSettings("cubewire", config.database, version=engine.catalog.version)
        # What is stored must serve everybody, so statements are read as those of one who sees all.
        scope = Scope(OPEN, generation, generation, engine.catalog)
        caller = Caller("cubewire", 0, {}, settings, SecurityContext.of("cubewire"), scope)
        dialects = {name: each.dialect for name, each in engine.connectors.items()}

        def make_compiler(model: Model) -> Compiler:
            return Compiler(model, generation.published, dialects)

        async def count_rows(statement: CompiledStatement) -> int:
            stream = await engine.connectors[statement.data_source].execute(
                f"SELECT COUNT(*) AS n FROM ({statement.sql}) AS stored"
            )
            counts = [batch.column(0)[0].as_py() async for batch in stream]
            return int(counts[0])

        logged: list[Logged] = []
        for text in texts[:_MOST_STATEMENTS]:
            try:
                query = await engine.prepare(text.sql, (), caller)
                if isinstance(query, CubeQuery) and query.compiled:
                    logged.append(Logged(query, text.times, text.seconds))
            except (SemanticError, CatalogError):
                # Of an older model, or only understood with the values of its parameters.
                continue
        advisor = Advisor(generation.model, make_compiler, settings, count_rows)
        return await advisor.suggest(logged, most)


def _print(found: Sequence[Suggestion]) -> None:
    if not found:
        print("nothing that would save enough")
    cube = ""
    for each in sorted(found, key=lambda each: each.shape.cube):
        if each.shape.cube != cube:
            cube = each.shape.cube
            print(f"# cube {cube}\npre_aggregations:")
        print(
            f"  # {each.hits} statements; {each.rows:,} rows of {each.source_rows:,};"
            f" saves about {each.saved:.1f} s of {each.seconds:.1f} s"
        )
        print("\n".join(item_lines(each, 2)))


def _as_json(suggestion: Suggestion) -> dict[str, object]:
    shape = suggestion.shape
    return {
        "cube": shape.cube,
        "name": suggestion.name,
        "measures": sorted(shape.measures),
        "dimensions": sorted(shape.dimensions),
        "time_dimension": shape.time,
        "granularity": None if shape.time is None else GRAINS[shape.grain],
        "hits": suggestion.hits,
        "rows": suggestion.rows,
        "source_rows": suggestion.source_rows,
        "seconds": round(suggestion.seconds, 3),
        "saved_seconds": round(suggestion.saved, 3),
    }
