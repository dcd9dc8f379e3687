"""Model errors as text: YAML in, messages with file:line:column out.

``pytest tests/model --rewrite`` (or ``REWRITE=1`` in the environment) records what is reported now.
"""

from __future__ import annotations

import os

import pytest

from semantic.model.loader import load_texts
from tests.model.fixtures import FOLDER, Case, read_cases, write_cases

ENVIRONMENT = {"SCHEMA": "main"}
MANIFEST = {
    "nodes": {
        "model.shop.orders": {
            "name": "orders",
            "package_name": "shop",
            "relation_name": '"db"."public"."orders"',
        }
    },
    "sources": {
        "source.shop.raw.users": {
            "name": "users",
            "source_name": "raw",
            "relation_name": '"db"."raw"."users"',
        }
    },
}


def outcome(case: Case) -> list[str]:
    report = load_texts(case.files(), ENVIRONMENT, MANIFEST)
    if case.command[0] == "report" or report.model is not None:
        return report.render_text().split(", version")[0].split("\n")
    return [f"{problem.location}: {problem.text}" for problem in report.problems]


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.txt")), ids=lambda path: path.stem)
def test_fixture(path: object, request: pytest.FixtureRequest) -> None:
    cases = read_cases(path)  # type: ignore[arg-type]
    assert cases
    if request.config.getoption("--rewrite", default=False) or os.environ.get("REWRITE"):
        for case in cases:
            case.expected = outcome(case)
        write_cases(path, cases)  # type: ignore[arg-type]
        return
    for case in cases:
        place = f"{case.path.name}:{case.line}: {' '.join(case.head)}"
        assert outcome(case) == case.expected, place
