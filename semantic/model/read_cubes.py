"""Readers of cubes: joins, pre-aggregations, refresh keys, tests."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from semantic.model.preaggregation import Index, PreAggregation, RollupTime
from semantic.model.read_members import (
    dimension,
    hierarchy,
    measure,
    named,
    place_of_name,
    segment,
    sql_holder,
)
from semantic.model.read_policy import access_policy
from semantic.model.read_tests import model_test
from semantic.model.reading import (
    Reader,
    Reading,
    boolean,
    choice,
    frozen,
    frozen_map,
    interval,
    is_absent,
    listing,
    name,
    one_or_many,
    reference,
    template,
    text,
)
from semantic.model.relations import Cube, Join, Validity
from semantic.model.template import Reference, SqlTemplate
from semantic.model.tree import MapNode, Node
from semantic.model.values import FrozenMap, RefreshKey

# Older words for the same relationships.
_RELATIONSHIPS = {
    "belongs_to": "many_to_one",
    "has_many": "one_to_many",
    "has_one": "one_to_one",
}
_relationship = choice("one_to_one", "one_to_many", "many_to_one", *_RELATIONSHIPS)
_NOTHING = SqlTemplate("", ())


def _valid(reading: Reading, node: Node) -> Validity | None:
    keys = {"from": template, "to": template, "at": template}
    values = reading.mapping(node, "valid", keys, keys)
    if values is None or len(values) < len(keys):
        return None
    return Validity(values["from"], values["to"], values["at"])


def join(reading: Reading, node: Node) -> Join | None:
    """A join; its ``name`` is the target cube."""
    keys: dict[str, Reader[Any]] = {
        "relationship": _relationship,
        "sql": template,
        "alias": name,
        "type": choice("left", "inner"),
        "valid": _valid,
    }
    values = named(reading, node, "join", keys, ("relationship", "sql"))
    if values is None:
        return None
    relationship = values.get("relationship", "many_to_one")
    values["relationship"] = _RELATIONSHIPS.get(relationship, relationship)
    return Join(target=values.pop("name"), **{"sql": _NOTHING, **values})


def _with_alias(item: Join, cube_name: str) -> Join:
    """In the condition of a join with an alias, the name of the target means this join too.

    That is how Cube has it; in a join of a cube to itself the name is the cube's own row.
    """
    if item.alias is None or item.target == cube_name:
        return item
    parts = tuple(
        replace(part, path=(item.alias, *part.path[1:]))
        if isinstance(part, Reference) and part.path[0] == item.target
        else part
        for part in item.sql.parts
    )
    return replace(item, sql=replace(item.sql, parts=parts))


def refresh_key(reading: Reading, node: Node) -> RefreshKey | None:
    """When data is stale: by time, by a query, or never."""
    keys: dict[str, Reader[Any]] = {
        "every": text,
        "sql": text,
        "immutable": boolean,
        "incremental": boolean,
        "update_window": interval,
        "timezone": text,
        "time_zone": text,
    }
    before = len(reading.problems)
    values = reading.mapping(node, "refresh_key", keys)
    if values is None or len(reading.problems) > before:
        return None
    if not values.keys() & {"every", "sql", "immutable"}:
        reading.problem(node, "refresh-key", 'refresh_key needs "every", "sql" or "immutable"')
    if "timezone" in values:
        values.setdefault("time_zone", values.pop("timezone"))
    return RefreshKey(**values)


def _index(reading: Reading, node: Node) -> Index | None:
    keys: dict[str, Reader[Any]] = {
        "columns": listing(text, "columns"),
        "type": choice("regular", "aggregate"),
    }
    values = named(reading, node, "index", keys, ("columns",))
    if values is None:
        return None
    values.pop("location")
    return Index(**{"columns": (), **values})


def _rollup_time(reading: Reading, node: Node) -> RollupTime | None:
    keys = {"dimension": reference, "granularity": name}
    values = reading.mapping(node, "time dimension", keys, keys)
    if values is None or "dimension" not in values:
        return None
    return RollupTime(**values)


def _sketches(reading: Reading, node: Node) -> tuple[tuple[str, str], ...] | None:
    if not isinstance(node, MapNode):
        reading.problem(node, "type", "sketches must be a mapping of measures to sketches")
        return None
    kind = choice("hll", "ddsketch")
    found = ((key, kind(reading, value)) for key, (_, value) in node.entries.items())
    return tuple((key, value) for key, value in found if value is not None)


_refs = one_or_many(reference, "references")
_range = sql_holder("range")
# Settings of a store that Cubewire does not have; kept as written, they change no result.
_STORE_OPTIONS = (
    "allow_non_strict_date_range_match",
    "output_column_types",
    "read_only",
    "stream_offset",
    "unique_key_columns",
    "use_original_sql_pre_aggregations",
    "sql_alias",
)
_PRE_AGGREGATION_KEYS: dict[str, Reader[Any]] = {
    "type": choice("rollup", "original_sql", "rollup_join", "rollup_lambda"),
    "measures": _refs,
    "dimensions": _refs,
    "segments": _refs,
    "time_dimension": reference,
    "granularity": name,
    "time_dimensions": listing(_rollup_time, "time_dimensions"),
    "partition_granularity": name,
    "refresh_key": refresh_key,
    "build_range_start": _range,
    "build_range_end": _range,
    "indexes": listing(_index, "indexes"),
    "scheduled_refresh": boolean,
    "external": boolean,
    "rollups": _refs,
    "union_with_source_data": boolean,
    "store": choice("warehouse", "duckdb"),
    "table": text,
    "sketches": _sketches,
    **dict.fromkeys(_STORE_OPTIONS, frozen),
}


def pre_aggregation(reading: Reading, node: Node) -> PreAggregation | None:
    """A pre-aggregation."""
    values = named(reading, node, "pre-aggregation", _PRE_AGGREGATION_KEYS)
    if values is None:
        return None
    times = values.pop("time_dimensions", ())
    single = values.pop("time_dimension", None)
    granularity = values.pop("granularity", None)
    if single is not None:
        if granularity is None and values.get("type", "rollup") == "rollup":
            message = "a time_dimension without granularity can never match"
            reading.problem(place_of_name(node), "never-matches", message)
        times = (RollupTime(single, granularity), *times)
    elif granularity is not None:
        message = "a granularity without time_dimension has no meaning"
        reading.problem(place_of_name(node), "pre-aggregation", message)
    options = tuple((key, values.pop(key)) for key in _STORE_OPTIONS if key in values)
    return PreAggregation(time_dimensions=times, options=FrozenMap(options), **values)


CUBE_KEYS: dict[str, Reader[Any]] = {
    "sql_table": template,
    "sql": template,
    "data_source": text,
    "title": text,
    "description": text,
    "public": boolean,
    "shown": boolean,
    "extends": reference,
    "meta": frozen_map,
    "refresh_key": refresh_key,
    "calendar": boolean,
    "sql_alias": text,
    "rewrite_queries": boolean,
    "joins": listing(join, "joins"),
    "dimensions": listing(dimension, "dimensions"),
    "measures": listing(measure, "measures"),
    "segments": listing(segment, "segments"),
    "hierarchies": listing(hierarchy, "hierarchies"),
    "pre_aggregations": listing(pre_aggregation, "pre_aggregations"),
    "access_policy": listing(access_policy, "access_policy"),
    "default_time_dimension": reference,
    "tests": listing(model_test, "tests"),
}


def cube(reading: Reading, node: Node) -> Cube | None:
    """A cube; ``extends`` must have been merged into the node before."""
    values = named(reading, node, "cube", CUBE_KEYS)
    if values is None:
        return None
    if isinstance(node, MapNode):
        _check_source(reading, node)
    # Says whether another layer of Cube's may rewrite queries; there is none here.
    values.pop("rewrite_queries", None)
    values["joins"] = tuple(_with_alias(item, values["name"]) for item in values.pop("joins", ()))
    parent = values.pop("extends", None)
    policies = values.pop("access_policy", ())
    return Cube(extends=None if parent is None else str(parent), access_policies=policies, **values)


def _check_source(reading: Reading, node: MapNode) -> None:
    given = [key for key in ("sql_table", "sql") if not is_absent(node.get(key))]
    if len(given) == 2:
        key = node.entries["sql"][0]
        reading.problem(key, "source", 'a cube has either "sql_table" or "sql", not both')
    elif not given:
        message = 'a cube has neither "sql_table" nor "sql"'
        reading.problem(place_of_name(node), "source", message)
