"""The project's source files as syntax trees."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("proxy", "semantic", "connectors")


@dataclass(frozen=True)
class Module:
    name: str
    path: Path
    tree: ast.Module

    @property
    def place(self) -> str:
        return str(self.path.relative_to(ROOT))


@dataclass(frozen=True)
class Import:
    """One imported name: a module, or a module and what was taken from it."""

    importer: Module
    line: int
    module: str
    name: str | None
    level: int
    in_function: bool
    typing_only: bool

    def __str__(self) -> str:
        return f"{self.importer.place}:{self.line}: {self.module} {self.name or ''}".rstrip()


@cache
def modules() -> tuple[Module, ...]:
    return tuple(_read(path) for package in PACKAGES for path in sorted(_files(ROOT / package)))


def _files(folder: Path) -> Iterator[Path]:
    return folder.rglob("*.py")


def _read(path: Path) -> Module:
    parts = path.relative_to(ROOT).with_suffix("").parts
    if parts[-1] == "__init__":
        parts = parts[:-1]
    return Module(".".join(parts), path, ast.parse(path.read_text(encoding="utf-8")))


@cache
def imports() -> tuple[Import, ...]:
    return tuple(each for module in modules() for each in _imports(module))


def _imports(module: Module) -> Iterator[Import]:
    yield from _walk(module, module.tree, in_function=False, typing_only=False)


def _walk(
    module: Module, node: ast.AST, *, in_function: bool, typing_only: bool
) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.stmt | ast.ExceptHandler | ast.match_case):
            continue  # nothing is imported in an expression
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield Import(module, child.lineno, alias.name, None, 0, in_function, typing_only)
        elif isinstance(child, ast.ImportFrom):
            for alias in child.names:
                yield Import(
                    module,
                    child.lineno,
                    child.module or "",
                    alias.name,
                    child.level,
                    in_function,
                    typing_only,
                )
        else:
            inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
            typing = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test)
            yield from _walk(
                module,
                child,
                in_function=in_function or inside,
                typing_only=typing_only or typing,
            )
