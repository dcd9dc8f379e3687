"""Publishing a model in the catalog: from what is there to what shall be there, in place.

Clients keep OIDs, so a relation is altered rather than made again wherever PostgreSQL can. All of
it happens in one transaction. Every cube's table has one row that no client can read: a row policy
whose function raises an error stands before it. A query that was sent here by mistake meets it;
what PostgreSQL itself can tell to be empty (``LIMIT 0``, ``WHERE 1 = 0``) does not. A view reads
from a function that raises the same error.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from proxy.catalog import lockdown, system_tables
from proxy.catalog.connection import ChildConnection
from proxy.catalog.errors import CatalogError
from proxy.catalog.protocol import identifier, literal
from proxy.catalog.relations import (
    SCHEMA,
    Key,
    Relation,
    dummy,
    present_relations,
    wanted_relations,
)
from semantic.model.functions import ConfiguredFunction
from semantic.model.published import PublishedModel

POLICY = "warehouse"

LOCK_TIMEOUT_MS = 1000
"""How long a deployment waits for clients that hold a relation in an open transaction. They are
then disconnected: a model must not wait for whoever went to lunch inside a transaction."""

LOCK_ATTEMPTS = 5

STATEMENTS_AT_ONCE = 500
"""PostgreSQL handles the whole text again for each statement in it: a long one takes minutes."""

_BLOCKED = frozenset({"55P03", "40P01"})
_TERMINATE_BLOCKERS = f"""
SELECT pg_terminate_backend(pid) FROM (
  SELECT DISTINCT l.pid FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
  WHERE c.relnamespace = '{SCHEMA}'::regnamespace AND l.granted
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
) held
"""


async def deploy(
    admin: ChildConnection, model: PublishedModel, markers: str, *, superuser: bool = True
) -> int:
    """Make the catalog show a model.

    Args:
        admin: a connection of the owner.
        model: what clients shall see.
        markers: schema of the marker functions.
        superuser: whether the owner is one, and so may write statistics itself.

    Returns:
        The number of statements it took; 0 when nothing differed.
    """
    await admin.execute("SET search_path = pg_catalog")
    if model.functions:
        await _deploy_functions(admin, model.functions, superuser=superuser)
    if model.system_tables:
        await _deploy_system_tables(admin, markers)
    wanted = await wanted_relations(admin, model)
    present = await present_relations(admin)
    statements = difference(present, wanted, markers, superuser=superuser)
    if not statements:
        return 0
    script = ["BEGIN", f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}", *statements, "COMMIT"]
    pieces = [
        ";\n".join(script[first : first + STATEMENTS_AT_ONCE])
        for first in range(0, len(script), STATEMENTS_AT_ONCE)
    ]
    for attempt in range(1, LOCK_ATTEMPTS + 1):
        try:
            for piece in pieces:
                await admin.execute(piece)
        except CatalogError as error:
            if admin.status != "I" and not admin.closed:
                await admin.execute("ROLLBACK")
            if error.sqlstate not in _BLOCKED or attempt == LOCK_ATTEMPTS:
                raise
            await admin.execute(_TERMINATE_BLOCKERS)
        else:
            break
    return len(statements)


async def _deploy_system_tables(admin: ChildConnection, markers: str) -> None:
    present = await admin.execute(
        f"SELECT FROM pg_namespace WHERE nspname = {literal(system_tables.SCHEMA)}"
    )
    if not present:
        script = system_tables.deployment(markers)
        await admin.execute(f"BEGIN;\n{script};\nCOMMIT")


async def _deploy_functions(
    admin: ChildConnection, functions: Sequence[ConfiguredFunction], *, superuser: bool
) -> None:
    """Make the stubs of the warehouse's functions: they have types, and fail when they are called.

    Raises CatalogError 42723 for a name that PostgreSQL has itself.
    """
    names = ", ".join(literal(function.name) for function in functions)
    taken = await admin.execute(
        "SELECT proname FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace "
        f"AND proname IN ({names})"
    )
    if taken:
        raise CatalogError(
            "42723", f"functions.{taken[0][0]}: PostgreSQL has a function of this name"
        )
    for function in functions:
        await admin.execute(lockdown.warehouse_function(function, superuser=superuser))


def difference(
    present: Mapping[str, Relation],
    wanted: Mapping[str, Relation],
    markers: str,
    *,
    superuser: bool = True,
) -> list[str]:
    """The statements that lead from one state to the other, in an order PostgreSQL accepts."""
    kept = {
        name: present[name]
        for name, relation in wanted.items()
        if name in present and _alterable(present[name], relation)
    }
    alterations = {
        name: found
        for name, before in kept.items()
        if (found := _alter(before, wanted[name], markers))
    }
    staying = _staying_keys(kept, wanted, alterations)
    emptied = {name for name in alterations if wanted[name].kind == "r"}
    statements = [
        f"ALTER TABLE {qualified(name)} DROP CONSTRAINT {identifier(key)}"
        for name, relation in present.items()
        for key in relation.foreign
        if key not in staying.get(name, {})
    ]
    statements += [
        f"DROP {_word(relation)} {qualified(name)}"
        for name, relation in present.items()
        if name not in kept
    ]
    statements += [f"DELETE FROM {qualified(name)}" for name in wanted if name in emptied]
    for name, relation in wanted.items():
        statements += alterations.get(name, []) if name in kept else _create(relation, markers)
    for name, relation in wanted.items():
        if relation.kind == "r" and (name in emptied or name not in kept):
            statements += _poison(relation, superuser=superuser)
    # Behind the rows: equal types have equal values there, so the keys hold.
    for name, relation in wanted.items():
        there = staying.get(name, {})
        statements += [
            _add_key(name, key) for label, key in relation.foreign.items() if label not in there
        ]
    for name, relation in wanted.items():
        statements += _comments(kept.get(name), relation)
    return statements


def qualified(name: str) -> str:
    """A relation's name with its schema."""
    return f"{SCHEMA}.{identifier(name)}"


def _word(relation: Relation) -> str:
    return "TABLE" if relation.kind == "r" else "VIEW"


def _alterable(before: Relation, after: Relation) -> bool:
    """Whether the relation can be kept: columns can only be added behind those that stay."""
    if before.kind != after.kind:
        return False
    if before.kind == "v":
        # A view's columns can be neither dropped nor changed.
        return before.shape == after.shape[: len(before.shape)]
    names = [column.name for column in after.columns]
    staying = [column.name for column in before.columns if column.name in names]
    return bool(staying) and names[: len(staying)] == staying


def _staying_keys(
    kept: Mapping[str, Relation],
    wanted: Mapping[str, Relation],
    altered: Mapping[str, object],
) -> dict[str, dict[str, Key]]:
    """Foreign keys that are left alone: unchanged, between relations that are left alone."""
    return {
        name: {
            label: key
            for label, key in relation.foreign.items()
            if wanted[name].foreign.get(label) == key
            and name not in altered
            and key.target in kept
            and key.target not in altered
        }
        for name, relation in kept.items()
    }


def _create(relation: Relation, markers: str) -> list[str]:
    name = qualified(relation.name)
    if relation.kind == "v":
        return [_view(relation, markers), f"GRANT SELECT ON {name} TO PUBLIC"]
    # Values that are never long need no table beside the table, which takes twice the time to make.
    columns = ", ".join(f"{identifier(c.name)} {c.type} STORAGE PLAIN" for c in relation.columns)
    statements = [
        f"CREATE TABLE {name} ({columns})",
        f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY",
        f"CREATE POLICY {POLICY} ON {name} FOR SELECT "
        f"USING ({identifier(markers)}.{lockdown.POISON}())",
        # REFERENCES lets information_schema show the keys; nobody can make a table to use it with.
        f"GRANT SELECT, REFERENCES ON {name} TO PUBLIC",
    ]
    if relation.primary is not None:
        statements.append(_add_key(relation.name, relation.primary))
    return statements


def _view(relation: Relation, markers: str) -> str:
    names = ", ".join(identifier(column.name) for column in relation.columns)
    columns = ", ".join(f"{identifier(c.name)} {c.type}" for c in relation.columns)
    return (
        f"CREATE OR REPLACE VIEW {qualified(relation.name)} AS SELECT {names} "
        f"FROM {identifier(markers)}.{lockdown.ROWS}() AS {identifier(relation.name)}({columns})"
    )


def _alter(before: Relation, after: Relation, markers: str) -> list[str]:
    if after.kind == "v":
        return [] if before.shape == after.shape else [_view(after, markers)]
    table = f"ALTER TABLE {qualified(after.name)}"
    statements: list[str] = []
    if before.primary is not None and before.primary != after.primary:
        statements.append(f"{table} DROP CONSTRAINT {identifier(before.primary.name)}")
        # A primary key leaves its columns NOT NULL behind.
        statements += [
            f"{table} ALTER COLUMN {identifier(name)} DROP NOT NULL"
            for name in before.primary.columns
        ]
    types, there = dict(after.shape), dict(before.shape)
    for name, old in before.shape:
        new = types.get(name)
        if new is None:
            statements.append(f"{table} DROP COLUMN {identifier(name)}")
        elif new != old:
            column = f"ALTER COLUMN {identifier(name)} TYPE {new} USING NULL::{new}"
            statements.append(f"{table} {column}")
    statements += [
        f"{table} ADD COLUMN {identifier(name)} {new}"
        for name, new in after.shape
        if name not in there
    ]
    if after.primary is not None and before.primary != after.primary:
        statements.append(_add_key(after.name, after.primary))
    return statements


def _add_key(relation: str, key: Key) -> str:
    columns = ", ".join(identifier(name) for name in key.columns)
    head = f"ALTER TABLE {qualified(relation)} ADD CONSTRAINT {identifier(key.name)}"
    if key.kind == "p":
        return f"{head} PRIMARY KEY ({columns})"
    others = ", ".join(identifier(name) for name in key.target_columns)
    return f"{head} FOREIGN KEY ({columns}) REFERENCES {qualified(key.target)} ({others})"


def _poison(relation: Relation, *, superuser: bool) -> list[str]:
    """The row nobody reads, and statistics that keep the planner from looking past it.

    With one page known, reading the table is always cheaper than looking into its key's index,
    where a value that is not there would be found missing without asking the policy.
    """
    name = qualified(relation.name)
    key = relation.primary.columns if relation.primary is not None else ()
    insert = f"INSERT INTO {name} DEFAULT VALUES"
    if key:
        types = dict(relation.shape)
        columns = ", ".join(identifier(column) for column in key)
        values = ", ".join(
            f"{literal(dummy(types[column]) or '')}::{types[column]}" for column in key
        )
        insert = f"INSERT INTO {name} ({columns}) VALUES ({values})"
    if not superuser:
        return [insert, f"ANALYZE {name}"]
    return [
        insert,
        f"UPDATE pg_class SET relpages = 1, reltuples = 1 WHERE oid = {literal(name)}::regclass",
    ]


def _comments(before: Relation | None, after: Relation) -> Iterable[str]:
    name = qualified(after.name)
    if after.comment != ("" if before is None else before.comment):
        yield f"COMMENT ON {_word(after)} {name} IS {_comment(after.comment)}"
    known: dict[str, str] = {}
    if before is not None:
        known = {column.name: column.comment for column in before.columns}
    for column in after.columns:
        # A column altered in place keeps its comment; one that was dropped and added has none.
        if column.comment != known.get(column.name, ""):
            target = f"{name}.{identifier(column.name)}"
            yield f"COMMENT ON COLUMN {target} IS {_comment(column.comment)}"


def _comment(text: str) -> str:
    return literal(text) if text else "NULL"
