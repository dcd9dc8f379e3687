"""The text fixtures: what is bound, refused, planned and rewritten."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from semantic.compiler.bind import BoundStatement
from semantic.compiler.lower import LOWERINGS, Lowering
from semantic.compiler.plan import Query, explain
from semantic.compiler.rewrite import RULES, Rule, rewrite
from semantic.compiler.rewrite.context import RewriteContext
from semantic.compiler.rollups.api import RollupCandidates, StoredPart, StoredRollup
from semantic.errors import SemanticError
from tests.compiler.conftest import SETTINGS, Shop
from tests.compiler.datadriven import Case, read_cases, run

DATA = Path(__file__).parent / "testdata"
LOWERING_NAMES = [lowering.__name__ for lowering in LOWERINGS]
RULE_NAMES = [rule.__name__ for rule in RULES]


def _files(folder: str) -> list[Path]:
    return sorted((DATA / folder).glob("*.test"))


def _bound(shop: Shop, sql: str) -> BoundStatement:
    bound = shop.compiler().bind(sql, replace(SETTINGS, access=shop.access))
    assert bound is not None
    return bound


def _plan(
    shop: Shop,
    sql: str,
    rules: tuple[Rule, ...] = (),
    lowerings: tuple[Lowering, ...] = LOWERINGS,
) -> Query:
    bound = _bound(shop, sql)
    assert bound.plan is not None, bound.deferred
    plan = bound.plan
    for lowering in lowerings:
        plan = lowering(plan)
    return rewrite(plan, _context(shop), rules)


def _context(shop: Shop) -> RewriteContext:
    """Every rollup of the model is built, the first in 10 rows, the next in 20 and so on."""
    compiler = shop.compiler()
    stored = tuple(
        StoredRollup(
            name,
            item.version,
            item.data_source,
            (StoredPart(f'"{name}"', None, None, 10 * place, 0.0),),
        )
        for place, (name, item) in enumerate(compiler.rollups().items(), 1)
    )
    return compiler.rewrite_context("default", SETTINGS, RollupCandidates(stored))


def _planned(shop: Shop, sql: str) -> None:
    """All that can be refused before PostgreSQL's analysis, and by the plan."""
    compiler = shop.compiler()
    bound = compiler.bind(sql, SETTINGS)
    if bound is not None:
        compiler.plan(bound)


def show_error(sql: str, error: SemanticError) -> str:
    lines = [f"{error.sqlstate} {error.message}"]
    if error.position is not None:
        start = sql.rfind("\n", 0, error.position - 1) + 1
        end = sql.find("\n", start)
        lines.append(sql[start : None if end < 0 else end])
        lines.append(" " * (error.position - 1 - start) + "^")
    if error.hint:
        lines.append(f"hint: {error.hint}")
    return "\n".join(lines)


@pytest.mark.parametrize("path", _files("bind"), ids=lambda path: path.stem)
def test_bind(path: Path, shop: Shop) -> None:
    def perform(case: Case) -> str:
        bound = shop.compiler().bind(case.text, SETTINGS)
        if bound is None:
            return "touches no cube"
        return "\n".join(
            (
                bound.analysis_sql,
                f"columns: {', '.join(bound.names)}",
                f"relations: {', '.join(bound.relations)}",
            )
        )

    run(path, perform)


@pytest.mark.parametrize("path", _files("errors"), ids=lambda path: path.stem)
def test_errors(path: Path, shop: Shop) -> None:
    def perform(case: Case) -> str:
        with pytest.raises(SemanticError) as caught:
            _planned(shop, case.text)
        return show_error(case.text, caught.value)

    run(path, perform)


@pytest.mark.parametrize("path", _files("plan"), ids=lambda path: path.stem)
def test_plan(path: Path, shop: Shop) -> None:
    run(path, lambda case: explain(_plan(shop, case.text, lowerings=())))


@pytest.mark.parametrize("path", _files("lower"), ids=lambda path: path.stem)
def test_lower(path: Path, shop: Shop) -> None:
    """A lowering has something to write out, or nothing."""
    position = LOWERING_NAMES.index(path.stem)

    def perform(case: Case) -> str:
        before = _plan(shop, case.text, lowerings=LOWERINGS[:position])
        after = LOWERINGS[position](before)
        fired = case.options.get("expect") == path.stem
        assert (after != before) is fired, explain(after)
        return explain(after)

    run(path, perform)
    options = [case.options for case in read_cases(path)]
    assert any("expect" in option for option in options)
    assert any("expect-not" in option for option in options)


@pytest.mark.parametrize("path", _files("rewrite"), ids=lambda path: path.stem)
def test_rewrite(path: Path, shop: Shop) -> None:
    """A rule fires or does not, on what the rules before it have left."""
    position = RULE_NAMES.index(path.stem)

    def perform(case: Case) -> str:
        before = _plan(shop, case.text, RULES[:position])
        after = RULES[position](before, _context(shop))
        fired = case.options.get("expect") == path.stem
        assert (after != before) is fired, explain(after)
        return explain(after)

    run(path, perform)
    options = [case.options for case in read_cases(path)]
    assert any("expect" in option for option in options)
    assert any("expect-not" in option for option in options)


def test_every_rule_has_fixtures_and_a_file() -> None:
    assert [path.stem for path in _files("rewrite")] == sorted(RULE_NAMES)
    assert [path.stem for path in _files("lower")] == sorted(LOWERING_NAMES)
    for lowering in LOWERINGS:
        assert lowering.__module__ == f"semantic.compiler.lower.{lowering.__name__}"
    for rule in RULES:
        assert rule.__module__ == f"semantic.compiler.rewrite.{rule.__name__}"
