"""``cubewire access``: who may see what, and whether that is as it should be."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
from dataclasses import asdict, dataclass, replace

from connectors.errors import WarehouseError
from proxy.access_report import RelationReport, difference, report_of
from proxy.access_tests import TestOutcome, access_tests, run_test
from proxy.assembly import read_models
from proxy.auth.contexts import UserContexts
from proxy.auth.opening import local_users
from proxy.catalog.errors import CatalogError
from proxy.cli.configuration import UsageError, report
from proxy.cli.demo import demo_configuration
from proxy.cli.statement import FAILURES
from proxy.cli.users import attributes_of
from proxy.config import Config
from proxy.errors import SessionError
from proxy.scopes import Scope
from proxy.startup import open_engine
from semantic.model.values import FrozenMap, freeze
from semantic.security.context import SecurityContext


@dataclass(frozen=True, slots=True)
class _Seen:
    user: str
    relations: tuple[RelationReport, ...]
    policies: tuple[str, ...]


def run(arguments: argparse.Namespace) -> int:
    """Do what was asked. Exits 1 where a test fails, or two users see different things."""
    actions = {"show": _show, "diff": _diff, "test": _test}
    try:
        config = demo_configuration(arguments)
        return asyncio.run(actions[arguments.action](config, arguments))
    except FAILURES as error:
        return report(error)
    except (CatalogError, WarehouseError, SessionError) as error:
        return report(UsageError(error.message))


async def _show(config: Config, arguments: argparse.Namespace) -> int:
    (seen,) = await _see(config, [_context(config, arguments)])
    if arguments.format == "json":
        print(json.dumps(_as_json(seen), indent=2))
        return 0
    for relation in seen.relations:
        print(relation.text())
    print(f"policies: {', '.join(seen.policies) or 'none'}")
    return 0


async def _diff(config: Config, arguments: argparse.Namespace) -> int:
    if len(arguments.user) != 2:
        raise UsageError("cubewire access diff takes two users: --user A --user B")
    one, other = await _see(config, [_known(config, name) for name in arguments.user])
    found = difference(one.relations, other.relations)
    if arguments.format == "json":
        lines = [
            {"only": one.user if sign == "-" else other.user, "is": line} for sign, line in found
        ]
        print(json.dumps(lines, indent=2))
    elif found:
        print(f"--- {one.user}\n+++ {other.user}")
        print("\n".join(f"{sign} {line}" for sign, line in found))
    return 1 if found else 0


async def _test(config: Config, arguments: argparse.Namespace) -> int:
    outcomes: list[TestOutcome] = []
    async with open_engine(config) as engine:
        model, tenants = read_models(config, os.environ)
        for each in (model, *tenants.values()):
            for relation, test in access_tests(each):
                outcomes.append(await run_test(engine, config.database, relation, test))
    failed = [outcome for outcome in outcomes if outcome.problem]
    if arguments.format == "json":
        print(json.dumps([asdict(outcome) for outcome in outcomes], indent=2))
    else:
        for outcome in outcomes:
            print(f"{'FAIL' if outcome.problem else 'ok'}: {outcome.location}: {outcome.name}")
            if outcome.problem:
                print(f"      {outcome.problem}")
        print(f"{len(outcomes) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0


async def _see(config: Config, contexts: list[SecurityContext]) -> list[_Seen]:
    found: list[_Seen] = []
    async with open_engine(config) as engine:
        for context in contexts:
            scope: Scope = await engine.scopes.open(context)
            whole = scope.whole.published.relations
            found.append(_Seen(context.user, report_of(scope, whole), scope.access.policies))
    return found


def _context(config: Config, arguments: argparse.Namespace) -> SecurityContext:
    """The user as configured, with what the command line adds to it; else as it says alone."""
    if len(arguments.user) != 1:
        raise UsageError("cubewire access show takes one user: --user U")
    name = arguments.user[0]
    context = UserContexts(local_users(config.auth)).context_of(name) or SecurityContext.of(name)
    added = freeze(attributes_of(arguments.attribute))
    assert isinstance(added, FrozenMap)
    attributes = dict(context.attributes.items) | dict(added.items)
    return replace(
        context,
        groups=context.groups | frozenset(arguments.group),
        roles=context.roles | frozenset(arguments.role),
        attributes=FrozenMap(tuple(attributes.items())),
        tenant=arguments.tenant or context.tenant,
    )


def _known(config: Config, name: str) -> SecurityContext:
    context = UserContexts(local_users(config.auth)).context_of(name)
    if context is None:
        raise UsageError(f"there is no user {name!r} in the configuration or the users file")
    return context


def _as_json(seen: _Seen) -> dict[str, object]:
    return {
        "user": seen.user,
        "policies": list(seen.policies),
        "relations": [asdict(relation) for relation in seen.relations],
    }
