"""Hints for errors that PostgreSQL gives none for, or that have more to do with cubes (rule E2)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches

from proxy.catalog.errors import CatalogError
from proxy.catalog.relations import SCHEMA
from semantic.errors import SemanticError
from semantic.model.published import PublishedModel

_RELATION = re.compile(r'relation "(?P<name>.+)" does not exist')
_COLUMN = re.compile(r'column "?(?P<name>[^"]+?)"? does not exist')
_FUNCTION = re.compile(r"function (?P<name>[\w.]+)\(.*\) does not exist")
_UNGROUPED = re.compile(r'column "(?P<name>.+)" must appear in the GROUP BY clause')
_WORD = re.compile(r"\w+")

# What other databases call what PostgreSQL has under another name.
_INSTEAD = {
    "approx_count_distinct": "COUNT(DISTINCT ...)",
    "charindex": "POSITION(... IN ...)",
    "convert": "CAST(... AS ...)",
    "date_format": "TO_CHAR(...)",
    "dateadd": "+ INTERVAL '...'",
    "datediff": "a difference of dates, or EXTRACT",
    "day": "EXTRACT(DAY FROM ...)",
    "getdate": "NOW()",
    "group_concat": "STRING_AGG(...)",
    "if": "CASE WHEN ... THEN ... ELSE ... END",
    "ifnull": "COALESCE(...)",
    "iif": "CASE WHEN ... THEN ... ELSE ... END",
    "instr": "POSITION(... IN ...)",
    "isnull": "COALESCE(...)",
    "len": "LENGTH(...)",
    "listagg": "STRING_AGG(...)",
    "median": "PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY ...)",
    "month": "EXTRACT(MONTH FROM ...)",
    "nvl": "COALESCE(...)",
    "percentile": "PERCENTILE_CONT(...) WITHIN GROUP (ORDER BY ...)",
    "quarter": "EXTRACT(QUARTER FROM ...)",
    "stdev": "STDDEV(...)",
    "strftime": "TO_CHAR(...)",
    "sysdate": "NOW()",
    "week": "EXTRACT(WEEK FROM ...)",
    "year": "EXTRACT(YEAR FROM ...)",
}


def add_hint(error: CatalogError | SemanticError, sql: str, published: PublishedModel) -> None:
    """Give an error the hint that it lacks.

    Args:
        error: changed in place.
        sql: the statement.
        published: what there is to be named.
    """
    hint = _hint(error, sql, published)
    if hint is None:
        return
    error.hint = hint
    if isinstance(error, CatalogError):
        error.fields["H"] = hint


def _hint(error: CatalogError | SemanticError, sql: str, published: PublishedModel) -> str | None:
    function = _FUNCTION.match(error.message)
    if error.sqlstate == "42883" and function is not None:
        instead = _INSTEAD.get(function["name"].lower())
        return None if instead is None else f"PostgreSQL has {instead} for that."
    if error.hint is not None:
        return None
    if error.sqlstate == "42P01":
        return _relation(_RELATION.match(error.message), published)
    if error.sqlstate == "42703":
        return _nearest(_COLUMN.match(error.message), _columns(sql, published))
    if error.sqlstate == "42803":
        return _grouping(error.message)
    return None


def _relation(found: re.Match[str] | None, published: PublishedModel) -> str | None:
    names = [relation.name for relation in published.relations]
    if found is not None and found["name"] in names:  # search_path does not lead to it
        return f'Perhaps you meant "{SCHEMA}.{found["name"]}".'
    return _nearest(found, iter(names))


def _nearest(found: re.Match[str] | None, names: Iterator[str]) -> str | None:
    if found is None:
        return None
    wanted = found["name"].rpartition(".")[2].lower()
    by_folded = {name.lower(): name for name in names}
    near = get_close_matches(wanted, by_folded, n=1, cutoff=0.7)
    return f'Perhaps you meant "{by_folded[near[0]]}".' if near else None


def _columns(sql: str, published: PublishedModel) -> Iterator[str]:
    """The columns of the relations whose names occur in a statement."""
    words = set(_WORD.findall(sql.lower()))
    for relation in published.relations:
        if relation.name.lower() in words:
            yield from (column.name for column in relation.columns)


def _grouping(message: str) -> str | None:
    ungrouped = _UNGROUPED.match(message)
    if ungrouped is not None:
        return (
            "MEASURE() and other aggregates are over groups of rows: "
            f"add {ungrouped['name']} to GROUP BY, or leave it out."
        )
    if message == "aggregate functions are not allowed in WHERE":
        return "Put conditions on measures and other aggregates into HAVING."
    return None
