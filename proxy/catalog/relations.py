"""Relations of the catalog as comparable values: as a model wants them, and as they are."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from proxy.catalog.connection import ChildConnection
from proxy.catalog.errors import CatalogError
from proxy.catalog.protocol import literal
from semantic.model.published import PublishedForeignKey, PublishedModel, PublishedRelation
from semantic.model.types import PostgresType

SCHEMA = "public"
MAX_NAME_BYTES = 63
MAX_COLUMNS = 1600

_DUMMIES: Mapping[str, str] = {
    **dict.fromkeys(("smallint", "integer", "bigint", "numeric", "oid", "jsonb"), "0"),
    **dict.fromkeys(("real", "double precision", "money"), "0"),
    **dict.fromkeys(("text", "character varying", "character", "bpchar", "name", "bytea"), ""),
    **dict.fromkeys(("timestamp without time zone", "timestamp with time zone"), "2000-01-01"),
    **dict.fromkeys(("time without time zone", "time with time zone", "interval"), "00:00"),
    "date": "2000-01-01",
    "boolean": "false",
    "uuid": "00000000-0000-0000-0000-000000000000",
}
"""Values for the key columns of the row nobody reads. A type not here cannot be a key."""

_COMPARABLE = (
    frozenset({"smallint", "integer", "bigint"}),
    frozenset({"text", "character varying", "name"}),
    frozenset({"real", "double precision"}),
)
"""Types between which PostgreSQL accepts a foreign key without their being the same."""

_MODIFIER = re.compile(r"\([\d,]*\)")

_STATE = f"""
SELECT c.relname, c.relkind, coalesce(obj_description(c.oid, 'pg_class'), ''),
  (SELECT coalesce(json_agg(json_build_array(a.attname, format_type(a.atttypid, a.atttypmod),
          coalesce(col_description(c.oid, a.attnum), '')) ORDER BY a.attnum), '[]')
   FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
  (SELECT coalesce(json_agg(json_build_array(k.conname, k.contype,
          (SELECT json_agg(a.attname ORDER BY u.n) FROM unnest(k.conkey) WITH ORDINALITY u(num, n)
           JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.num),
          coalesce((SELECT r.relname FROM pg_class r WHERE r.oid = k.confrelid), ''),
          coalesce((SELECT json_agg(a.attname ORDER BY u.n)
           FROM unnest(k.confkey) WITH ORDINALITY u(num, n)
           JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.num), '[]')
          )), '[]')
   FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype IN ('p', 'f'))
FROM pg_class c WHERE c.relnamespace = '{SCHEMA}'::regnamespace AND c.relkind IN ('r', 'v')
ORDER BY c.relname
"""


@dataclass(frozen=True, slots=True)
class Column:
    """A column: ``type`` is SQL text, ``comment`` is empty for none."""

    name: str
    type: str
    comment: str


@dataclass(frozen=True, slots=True)
class Key:
    """A primary (``p``) or foreign (``f``) key: its columns, and what it refers to."""

    name: str
    kind: str
    columns: tuple[str, ...]
    target: str = ""
    target_columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Relation:
    """A table (``r``) or a view (``v``)."""

    name: str
    kind: str
    comment: str
    columns: tuple[Column, ...]
    keys: tuple[Key, ...]

    @property
    def primary(self) -> Key | None:
        """The primary key."""
        return next((key for key in self.keys if key.kind == "p"), None)

    @property
    def foreign(self) -> dict[str, Key]:
        """Foreign keys by name."""
        return {key.name: key for key in self.keys if key.kind == "f"}

    @property
    def shape(self) -> tuple[tuple[str, str], ...]:
        """Names and types of the columns, in order."""
        return tuple((column.name, column.type) for column in self.columns)


async def present_relations(admin: ChildConnection) -> dict[str, Relation]:
    """What the catalog shows now. ``search_path`` is ``pg_catalog`` alone."""
    found: dict[str, Relation] = {}
    for row in await admin.execute(_STATE):
        name, kind, comment, columns, keys = (value or "" for value in row)
        found[name] = Relation(
            name,
            kind,
            comment,
            tuple(Column(*column) for column in json.loads(columns)),
            tuple(
                Key(key, contype, tuple(own), target, tuple(other))
                for key, contype, own, target, other in json.loads(keys)
            ),
        )
    return found


async def wanted_relations(admin: ChildConnection, model: PublishedModel) -> dict[str, Relation]:
    """What a model shall look like. The server is asked how it writes the types."""
    types = await _type_names(admin, model)
    bare: dict[str, Relation] = {}
    for relation in model.relations:
        _check(relation)
        columns = tuple(
            Column(column.name, types[column.type], column.comment or "")
            for column in relation.columns
        )
        kind = "r" if relation.kind == "cube" else "v"
        keys = _primary(relation, columns) if kind == "r" else ()
        bare[relation.name] = Relation(relation.name, kind, relation.comment or "", columns, keys)
    return {relation.name: _with_foreign_keys(relation, bare) for relation in model.relations}


def dummy(type_name: str) -> str | None:
    """A value of a type, as text, for the row that nobody reads."""
    return _DUMMIES.get(_MODIFIER.sub("", type_name))


async def _type_names(admin: ChildConnection, model: PublishedModel) -> dict[PostgresType, str]:
    types = sorted(
        {column.type for relation in model.relations for column in relation.columns},
        key=lambda item: (item.name, item.modifier),
    )
    if not types:
        return {}
    # A column cannot be of the pseudo-type unknown; a literal of it becomes text.
    values = ", ".join(
        f"({n}, {literal('text' if item.name == 'unknown' else item.name)}, {item.modifier})"
        for n, item in enumerate(types)
    )
    rows = await admin.execute(
        "SELECT format_type(t.oid, w.modifier) "
        f"FROM (VALUES {values}) w(n, name, modifier) "
        "LEFT JOIN pg_type t ON t.typname = w.name "
        "AND t.typnamespace = 'pg_catalog'::regnamespace ORDER BY w.n"
    )
    names: dict[PostgresType, str] = {}
    for item, (name,) in zip(types, rows, strict=True):
        if name is None:
            raise CatalogError("42704", f'type "{item.name}" does not exist')
        names[item] = name
    return names


def _check(relation: PublishedRelation) -> None:
    names = [relation.name, *(column.name for column in relation.columns)]
    names += [foreign.name for foreign in relation.foreign_keys]
    for name in names:
        if not 0 < len(name.encode()) <= MAX_NAME_BYTES:
            raise CatalogError(
                "42622",
                f'"{name}" cannot be the name of a relation, column or key',
                detail=f"Names have 1 to {MAX_NAME_BYTES} bytes.",
            )
    if len(relation.columns) > MAX_COLUMNS:
        raise CatalogError(
            "54011", f'"{relation.name}" has more than {MAX_COLUMNS} dimensions and measures'
        )


def _primary(relation: PublishedRelation, columns: tuple[Column, ...]) -> tuple[Key, ...]:
    """The primary key, or nothing where a type cannot be a key."""
    types = {column.name: column.type for column in columns}
    usable = all(dummy(types.get(name, "")) is not None for name in relation.primary_key)
    if not relation.primary_key or not usable:
        return ()
    suffix = "_pkey"
    stem = relation.name.encode()[: MAX_NAME_BYTES - len(suffix)].decode(errors="ignore")
    return (Key(stem + suffix, "p", relation.primary_key),)


def _with_foreign_keys(relation: PublishedRelation, bare: Mapping[str, Relation]) -> Relation:
    own = bare[relation.name]
    keys = list(own.keys)
    taken = {key.name for key in keys}
    for foreign in relation.foreign_keys:
        target = bare.get(foreign.target)
        if own.kind != "r" or target is None or foreign.name in taken:
            continue
        if _possible(own, foreign, target):
            taken.add(foreign.name)
            keys.append(
                Key(foreign.name, "f", foreign.columns, foreign.target, foreign.target_columns)
            )
    return Relation(own.name, own.kind, own.comment, own.columns, tuple(keys))


def _possible(own: Relation, foreign: PublishedForeignKey, target: Relation) -> bool:
    """Whether PostgreSQL takes a foreign key: it refers to the whole primary key, types fit."""
    primary = target.primary
    if primary is None or sorted(primary.columns) != sorted(foreign.target_columns):
        return False
    if len(foreign.columns) != len(foreign.target_columns):
        return False
    mine, theirs = dict(own.shape), dict(target.shape)
    pairs = zip(foreign.columns, foreign.target_columns, strict=True)
    return all(_comparable(mine.get(a), theirs.get(b)) for a, b in pairs)


def _comparable(left: str | None, right: str | None) -> bool:
    if left is None or right is None:
        return False
    left, right = _MODIFIER.sub("", left), _MODIFIER.sub("", right)
    return left == right or any(left in group and right in group for group in _COMPARABLE)
