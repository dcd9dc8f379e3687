"""The table of functions, generated from the expressions that are checked against PostgreSQL.

A function is exact where an expression with it gives PostgreSQL's text on every row of the tests
(``testdata``), equal up to rounding where all of those are marked ``~``, and partly refused where
``refused.txt`` or ``refused_rows.txt`` holds an expression with it too.

``python -m tests.expressions.support_table --write`` writes the module that ``cubewire functions``
prints and the summary in README.md; a test holds them to the expressions.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from sqlglot import exp, parse_one

from semantic.compiler.expressions.duckdb.dialect import SUPPORTED_FUNCTIONS
from semantic.compiler.expressions.inference import ordered_set
from semantic.compiler.expressions.signatures.aggregates import AGGREGATES, ORDERED_SETS, WINDOWS
from semantic.compiler.expressions.signatures.arrays import ARRAYS
from semantic.compiler.expressions.signatures.dates import DATES
from semantic.compiler.expressions.signatures.json import JSON, JSON_AGGREGATES
from semantic.compiler.expressions.signatures.numbers import NUMBERS
from semantic.compiler.expressions.signatures.registry import Signature
from semantic.compiler.expressions.signatures.strings import STRINGS
from semantic.compiler.expressions.syntax import call_of
from tests.expressions.bench import COLUMNS, TESTDATA, lines

ROOT = Path(__file__).parents[2]
MODULE = ROOT / "proxy" / "function_support.py"
README = ROOT / "README.md"
BEGIN = "<!-- functions:begin (python -m tests.expressions.support_table --write) -->"
END = "<!-- functions:end -->"
REFUSED = ("refused.txt", "refused_rows.txt")
NO_EXPRESSIONS = (*REFUSED, "rows.txt", "errors.txt")
GROUPS: Mapping[str, tuple[list[Signature], ...]] = {
    "numbers": (NUMBERS,),
    "strings, patterns, bytes": (STRINGS,),
    "dates, times, formatting": (DATES,),
    "arrays": (ARRAYS,),
    "JSON": (JSON, JSON_AGGREGATES),
    "aggregates": (AGGREGATES, ORDERED_SETS),
    "window functions": (WINDOWS,),
}
OPERATORS: Mapping[type[exp.Expr], str] = {
    exp.Add: "+",
    exp.Sub: "-",
    exp.Mul: "*",
    exp.Div: "/",
    exp.Mod: "%",
    exp.Pow: "^",
    exp.DPipe: "||",
    exp.BitwiseAnd: "&",
    exp.BitwiseOr: "|",
    exp.BitwiseXor: "#",
    exp.BitwiseNot: "~ (bits)",
    exp.BitwiseLeftShift: "<<",
    exp.BitwiseRightShift: ">>",
    exp.Like: "LIKE",
    exp.ILike: "ILIKE",
    exp.SimilarTo: "SIMILAR TO",
    exp.RegexpLike: "~",
    exp.RegexpILike: "~*",
    exp.In: "IN",
    exp.Between: "BETWEEN",
    exp.Is: "IS",
    exp.NullSafeEQ: "IS [NOT] DISTINCT FROM",
    exp.Any: "= ANY",
    exp.All: "= ALL",
    exp.Case: "CASE",
    exp.Coalesce: "COALESCE",
    exp.Nullif: "NULLIF",
    exp.Greatest: "GREATEST",
    exp.Least: "LEAST",
    exp.Cast: "::",
    exp.Collate: "COLLATE",
    exp.AtTimeZone: "AT TIME ZONE",
    exp.Array: "ARRAY[]",
    exp.Slice: "[m:n]",
    exp.Bracket: "[n]",
    exp.ArrayContainsAll: "@>",
    exp.ArrayContainedBy: "<@",
    exp.ArrayOverlaps: "&&",
    exp.JSONExtract: "->",
    exp.JSONExtractScalar: "->>",
    exp.JSONBExtract: "#>",
    exp.JSONBExtractScalar: "#>>",
    exp.Filter: "FILTER",
    exp.Window: "OVER",
}
OPERATOR_GROUP = "operators and syntax"


def used(text: str) -> Iterator[str]:
    """Names of the functions and operators in an expression."""
    for node in parse_one(text, read="postgres").walk():
        if isinstance(node, exp.WithinGroup):
            yield ordered_set(node).name
        elif type(node) in OPERATORS:
            yield OPERATORS[type(node)]
        if isinstance(node, exp.Mod):
            yield "mod"
        call = call_of(node)
        if call is not None:
            yield call.name


def outermost(text: str) -> str | None:
    """What an expression is about: its outermost function or operator."""
    return next(used(text), None)


def statuses() -> dict[str, dict[str, tuple[str, tuple[str, ...]]]]:
    """Group, name, and whether it is exact on DuckDB with examples of what is refused."""
    exact: set[str] = set()
    rounded: set[str] = set()
    refused: dict[str, list[str]] = {}
    for path in sorted(TESTDATA.glob("*.txt")):
        if path.name in NO_EXPRESSIONS:
            continue
        for line in lines(path.name):
            found = set(used(line.removeprefix("~ ")))
            (rounded if line.startswith("~ ") else exact).update(found)
            about = outermost(line.removeprefix("~ "))
            if line.startswith("~ ") and about is not None:
                refused.setdefault(about, []).append(f"~ {described(line[2:])}")
    for name in REFUSED:
        for line in lines(name):
            about = outermost(line)
            if about is not None:
                refused.setdefault(about, []).append(described(line))
    names = {
        group: sorted({item.name for table in tables for item in table})
        for group, tables in GROUPS.items()
    }
    names[OPERATOR_GROUP] = list(OPERATORS.values())
    table: dict[str, dict[str, tuple[str, tuple[str, ...]]]] = {}
    for group, listed in names.items():
        table[group] = {}
        for name in listed:
            examples = tuple(dict.fromkeys(refused.get(name, ())))
            if name not in exact | rounded:
                status = "refused"
                examples = ()
            else:
                status = "exact" if name in exact else "rounded"
                if status == "rounded":
                    examples = tuple(item for item in examples if not item.startswith("~ "))
            table[group][name] = (status, examples)
    return table


def described(text: str) -> str:
    """An expression with types in place of the columns of the tests."""
    types = {name: kind for name, (_, kind) in COLUMNS.items()}
    parts = re.split(r"('(?:[^']|'')*')", text)
    words = r"(?<![\w:])(" + "|".join(sorted(types, key=len, reverse=True)) + r")(?![\w(])"
    parts[::2] = [re.sub(words, lambda match: types[match[1]], part) for part in parts[::2]]
    return re.sub(r"\(\d+,\d+\)", "", "".join(parts))


def module_text() -> str:
    """The generated module."""
    out = [
        '"""Which functions are exact, generated from the tests: see tests/expressions."""',
        "",
        "from __future__ import annotations",
        "",
        "from collections.abc import Mapping",
        "",
        "# By group and name: `exact`, `rounded` or `refused` on DuckDB, and examples of what is",
        "# refused all the same, or behind `~` equal up to rounding. On PostgreSQL all is exact:",
        "# it runs as it is written.",
        "DUCKDB: Mapping[str, Mapping[str, tuple[str, tuple[str, ...]]]] = {",
    ]
    for group, names in statuses().items():
        out.append(f'    "{group}": {{')
        for name, (status, examples) in names.items():
            listed = "".join(f"{_quoted(item)}, " for item in examples)
            shown = f"({listed.rstrip(' ')})" if len(examples) == 1 else f"({listed.rstrip(', ')})"
            out.append(f'        "{name}": ("{status}", {shown}),')
        out.append("    },")
    return "\n".join([*out, "}", ""])


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def readme_table() -> str:
    """The summary: a row a group."""
    out = [
        "| | exact | up to rounding | exact but for some arguments | refused on DuckDB |",
        "|---|---|---|---|---|",
    ]
    for group, names in statuses().items():
        cells: dict[str, list[str]] = {"exact": [], "rounded": [], "part": [], "refused": []}
        for name, (status, examples) in names.items():
            key = "part" if examples and status == "exact" else status
            shown = name.replace("|", "\\|")
            cells[key].append(f"`{shown}`")
        shown_cells = (" ".join(cell) for cell in cells.values())
        out.append(f"| {group} | " + " | ".join(shown_cells) + " |")
    return "\n".join(out)


def replaced(text: str) -> str:
    """A document with a fresh table between its marks."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError("the document has no marks for the table")
    return f"{before}{BEGIN}\n\n{readme_table()}\n\n{END}{after}"


def untested() -> list[str]:
    """Functions with a rule for DuckDB that no expression of the tests holds to PostgreSQL."""
    table = statuses()
    known = {name for names in table.values() for name, (status, _) in names.items()
             if status != "refused"}  # fmt: skip
    return sorted(SUPPORTED_FUNCTIONS - known)


def main() -> None:
    """Print the summary, or write it and the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the module and README.md")
    if parser.parse_args().write:
        MODULE.write_text(module_text())
        README.write_text(replaced(README.read_text()))
    else:
        print(readme_table())


if __name__ == "__main__":
    main()
