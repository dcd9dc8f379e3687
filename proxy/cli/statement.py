"""What ``compile`` and ``explain`` share: one statement through the engine, without a server."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Callable
from typing import Any

from connectors.errors import WarehouseError
from connectors.options import ConnectorOptionsError
from proxy.assembly import StartupError
from proxy.auth.contexts import UserContexts
from proxy.auth.opening import local_users
from proxy.auth.setup import SetupError
from proxy.catalog.errors import CatalogError
from proxy.cli.configuration import UsageError, report
from proxy.cli.demo import demo_configuration
from proxy.config import Config
from proxy.queries import Caller, CatalogQuery
from proxy.startup import open_engine
from semantic.compiler.api import CompiledStatement, SessionSettings
from semantic.errors import SemanticError
from semantic.security.context import SecurityContext


class NoCubeError(Exception):
    """There is nothing to compile."""


FAILURES = (UsageError, NoCubeError, StartupError, SetupError, ConnectorOptionsError, OSError)
"""What can keep a statement from being compiled, with a message for the operator."""

Render = Callable[[CompiledStatement], str]
AsJson = Callable[[CompiledStatement], dict[str, Any]]


def run_statement(arguments: argparse.Namespace, render: Render, as_json: AsJson) -> int:
    """Compile the statement and print one view of it."""
    text = sys.stdin.read() if arguments.sql == "-" else arguments.sql
    sql = text.rstrip().removesuffix(";")
    try:
        config = demo_configuration(arguments)
        compiled = asyncio.run(_compile(config, sql, arguments.user))
    except FAILURES as error:
        return report(error)
    except (SemanticError, CatalogError, WarehouseError) as error:
        return _refused(error, sql, as_json=arguments.format == "json")
    if arguments.format == "json":
        print(json.dumps(as_json(compiled), indent=2))
    else:
        print(render(compiled))
    return 0


async def _compile(config: Config, sql: str, user: str) -> CompiledStatement:
    async with open_engine(config) as engine:
        known = UserContexts(local_users(config.auth)).context_of(user)
        security = known or SecurityContext.of(user)
        scope = await engine.scopes.open(security)
        settings = SessionSettings(
            user, config.database, version=engine.catalog.version, access=scope.access
        )
        caller = Caller(user, 0, {}, settings, security, scope)
        query = await engine.prepare(sql, (), caller)
    if isinstance(query, CatalogQuery):
        raise NoCubeError("the statement reads no cube: the catalog PostgreSQL answers it")
    return query.compiled


def _refused(
    error: SemanticError | CatalogError | WarehouseError, sql: str, *, as_json: bool
) -> int:
    """Show an error as psql does: with the line and a mark under the place."""
    if as_json:
        fields = {
            "sqlstate": error.sqlstate,
            "message": error.message,
            "detail": error.detail,
            "hint": error.hint,
            "position": error.position,
        }
        print(json.dumps({"error": fields}, indent=2))
        return 1
    print(f"ERROR:  {error.sqlstate}: {error.message}", file=sys.stderr)
    if error.position is not None and 0 < error.position <= len(sql) + 1:
        before = sql[: error.position - 1]
        start = before.rfind("\n") + 1
        line = sql[start:].split("\n", 1)[0]
        head = f"LINE {before.count(chr(10)) + 1}: "
        mark = " " * (len(head) + error.position - 1 - start)
        print(f"{head}{line}\n{mark}^", file=sys.stderr)
    if error.detail:
        print(f"DETAIL:  {error.detail}", file=sys.stderr)
    if error.hint:
        print(f"HINT:  {error.hint}", file=sys.stderr)
    return 1
