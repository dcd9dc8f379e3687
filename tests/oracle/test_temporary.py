"""Temporary tables beside cubes give what PostgreSQL gives beside plain tables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from tests.oracle.harness import Client, Laboratory
from tests.oracle.statements import Case

SCRIPTS = sorted(Path(__file__).with_name("temporary").glob("*.sql"))


@dataclass(frozen=True, slots=True)
class Step:
    """A statement over cubes, and the same over plain tables."""

    line: int
    ours: str
    plain: str


def steps(path: Path) -> Iterator[Step]:
    """Blocks between blank lines; after ``----`` what PostgreSQL is asked instead."""
    line = 1
    for block in path.read_text().split("\n\n"):
        start, line = line, line + block.count("\n") + 2
        lines = [text for text in block.splitlines() if not text.startswith("--")]
        dashed = [text for text in block.splitlines() if text == "----"]
        if not [text for text in lines if text]:
            continue
        whole = "\n".join(text for text in block.splitlines() if not text.startswith("-- "))
        ours, _, plain = whole.partition("\n----\n")
        yield Step(start, ours, plain if dashed else ours)


@contextmanager
def fresh(lab: Laboratory) -> Iterator[Laboratory]:
    """The same servers, each with a connection of its own for this test."""
    clients = [lab.postgres, *lab.ours.values()]
    own = [Client(_dsn(client)) for client in clients]
    try:
        names = list(lab.ours)
        yield Laboratory(own[0], dict(zip(names, own[1:], strict=True)))
    finally:
        for client in own:
            client.close()


def _dsn(client: Client) -> str:
    info = client.connection.info
    options = info.options.replace(" ", "%20").replace("=", "%3D").replace(",", "%2C")
    password = f":{info.password}" if info.password else ""
    return (
        f"postgresql://{info.user}{password}@/{info.dbname}?host={info.host}&port={info.port}"
        f"&options={options}"
    )


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_scripts(lab: Laboratory, path: Path) -> None:
    problems = []
    with fresh(lab) as own:
        for step in steps(path):
            if step.ours.lower().startswith(("select", "with", "table", "values", "(")) and (
                " into " not in step.ours.lower()
            ):
                ordered = re.search(r"order by [^()]*\Z", step.ours, re.I) is not None
                problem = own.problem(Case(step.ours, step.plain, ordered))
            else:
                problem = _run(own, step)
            if problem:
                problems.append(f"{path.name}:{step.line}: {problem}\n{step.ours}")
    assert not problems, "\n".join(problems)


def _run(lab: Laboratory, step: Step) -> str:
    """A statement without rows: the same tag, or the same SQLSTATE."""
    wanted = _tag(lab.postgres, step.plain)
    found = {name: _tag(client, step.ours) for name, client in lab.ours.items()}
    wrong = {name: tag for name, tag in found.items() if tag != wanted}
    return f"{wrong}, not {wanted}" if wrong else ""


def _tag(client: Client, sql: str) -> str:
    cursor = client.connection.cursor()
    try:
        cursor.execute(sql.encode())
    except psycopg.Error as error:
        return error.sqlstate or "?"
    return cursor.statusmessage or ""
