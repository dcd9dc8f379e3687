"""Who may import whom, and that nobody imports in a circle.

The table is the one in the README. Ruff's bans are per file, not per layer: this is the authority.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import pytest

from tests.architecture.sources import PACKAGES, Import, Module, imports, modules

DRIVERS = frozenset(
    {
        *("OpenSSL", "aiohttp", "aiomysql", "asyncpg", "boto3", "botocore", "clickhouse_connect"),
        *("databricks", "deltalake", "duckdb", "google", "pg8000", "psycopg", "psycopg2"),
        *("pyiceberg", "pymysql", "pyspark", "pytds", "requests", "snowflake", "trino"),
    }
)
CLOCK = frozenset({"time", "random", "secrets"})
FILES = frozenset({"io", "os", "pathlib", "tempfile", "shutil", "subprocess"})
NETWORK = frozenset({"asyncio", "socket", "ssl", "selectors", "threading", "uvloop"})


@dataclass(frozen=True)
class Layer:
    """What a package may import: of ours, of others; what of the standard library not."""

    ours: tuple[str, ...]
    others: frozenset[str] | None
    banned: frozenset[str] = frozenset()


LAYERS = {
    "semantic": Layer(("semantic",), frozenset(), NETWORK | CLOCK),
    "semantic.model": Layer(
        ("semantic.model", "semantic.errors"),
        frozenset({"pydantic", "yaml", "jinja2"}),
        NETWORK | CLOCK,
    ),
    "semantic.security": Layer(
        ("semantic.security", "semantic.model", "semantic.errors"),
        frozenset(),
        NETWORK | CLOCK | FILES,
    ),
    "semantic.compiler": Layer(
        ("semantic.compiler", "semantic.model", "semantic.security", "semantic.errors"),
        frozenset({"sqlglot"}),
        NETWORK | CLOCK | FILES,
    ),
    "connectors": Layer(("connectors",), DRIVERS | {"pyarrow", "numpy"}),
    "proxy.wire": Layer(("proxy.wire",), frozenset(), NETWORK | {"time", "os"}),
    "proxy.rows": Layer(("proxy.rows", "proxy.wire"), frozenset({"pyarrow", "numpy"}), NETWORK),
    "proxy.cache": Layer(
        ("proxy.cache", "proxy.rows", "proxy.sources", "connectors", "semantic.model"),
        frozenset({"pyarrow", "redis"}),
        frozenset({"socket", "ssl", "os", "pickle"}),
    ),
    # Everything but drivers, and buenavista through its bridge alone.
    "proxy": Layer(PACKAGES, None, DRIVERS | {"buenavista"}),
    "proxy.bv_bridge": Layer(("proxy.wire",), frozenset({"buenavista"})),
}


def layer_of(module: Module) -> Layer:
    parts = module.name.split(".")
    for length in range(len(parts), 0, -1):
        layer = LAYERS.get(".".join(parts[:length]))
        if layer is not None:
            return layer
    raise AssertionError(f"{module.name} belongs to no layer")


def complaint(each: Import) -> str | None:
    layer = layer_of(each.importer)
    top = each.module.split(".")[0]
    if top in PACKAGES:
        whole = f"{each.module}."
        if not any(whole.startswith(f"{ours}.") for ours in layer.ours):
            return f"{each}: of ours, only {', '.join(layer.ours)}"
        return None
    if top in layer.banned:
        return f"{each}: never {top}"
    if top in sys.stdlib_module_names or layer.others is None or top in layer.others:
        return None
    return f"{each}: of other packages, only {', '.join(sorted(layer.others)) or 'none'}"


def test_layers() -> None:
    found = [text for each in imports() if each.level == 0 and (text := complaint(each))]
    assert not found, "\n".join(found)


def test_no_relative_imports() -> None:
    found = [str(each) for each in imports() if each.level]
    assert not found, "\n".join(found)


def test_no_imports_of_ours_inside_functions() -> None:
    found = [
        str(each)
        for each in imports()
        if each.in_function and each.module.split(".")[0] in PACKAGES
    ]
    assert not found, "\n".join(found)


def graph() -> dict[str, set[str]]:
    known = {module.name for module in modules()}
    edges: dict[str, set[str]] = {name: set() for name in known}
    for each in imports():
        if each.typing_only or each.in_function:
            continue
        taken = f"{each.module}.{each.name}"
        target = taken if taken in known else each.module
        if target in known and target != each.importer.name:
            edges[each.importer.name].add(target)
    return edges


def cycles(edges: dict[str, set[str]]) -> list[list[str]]:
    """What is left when modules that import nothing left are taken away, again and again."""
    left = {name: set(targets) for name, targets in edges.items()}
    while True:
        done = {name for name, targets in left.items() if not targets}
        if not done:
            break
        left = {name: targets - done for name, targets in left.items() if name not in done}
    circles = []
    for start in sorted(left):
        path, here = [start], start
        while (here := min(left[here])) not in path:
            path.append(here)
        circles.append([*path[path.index(here) :], here])
    return [list(text) for text in sorted({tuple(circle) for circle in circles})]


def test_no_cycles() -> None:
    found = [" -> ".join(circle) for circle in cycles(graph())]
    assert not found, "\n".join(found)


def test_the_search_for_cycles_finds_one() -> None:
    assert cycles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()})


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_were_read(package: str) -> None:
    assert any(module.name == package for module in modules())
