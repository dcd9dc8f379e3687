"""Readers of dimensions, measures, segments and hierarchies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, get_args

from semantic.model.members import (
    CalendarShift,
    Case,
    CaseBranch,
    Conversion,
    Dimension,
    DimensionType,
    Fill,
    Granularity,
    Hierarchy,
    Mask,
    Measure,
    MeasureType,
    NonAdditive,
    OrderBy,
    RollingWindow,
    Segment,
    TimeShift,
)
from semantic.model.reading import (
    Reader,
    Reading,
    boolean,
    choice,
    constant,
    either,
    fraction,
    frozen,
    frozen_map,
    interval,
    is_absent,
    listing,
    name,
    one_or_many,
    reference,
    scalar,
    template,
    text,
)
from semantic.model.report import nearest
from semantic.model.template import SqlTemplate
from semantic.model.tree import MapNode, Node, ScalarNode, scalar_value
from semantic.model.typenames import TYPE_NAMES, parse_type
from semantic.model.types import PostgresType
from semantic.model.values import Location

DIMENSION_TYPES = get_args(DimensionType)
MEASURE_TYPES = get_args(MeasureType)
_references = listing(reference, "references")


def named(
    reading: Reading,
    node: Node,
    what: str,
    keys: Mapping[str, Reader[Any]],
    required: Iterable[str] = (),
) -> dict[str, Any] | None:
    """The values of something with a name; None when the name itself is unusable.

    The place of the name becomes ``location``, and is noted as broken when anything is wrong.
    """
    before, claimed = len(reading.problems), reading.claimed
    label = node.get("name") if isinstance(node, MapNode) else None
    title = f'{what} "{label.text}"' if isinstance(label, ScalarNode) else what
    values = reading.mapping(node, title, {"name": name, **keys}, ("name", *required))
    if values is None or "name" not in values or label is None:
        return None
    values["location"] = label.location
    found = len(reading.problems) - before
    if found > reading.claimed - claimed:
        reading.broken.add(values["location"])
    reading.claimed = claimed + found
    if "shown" in values:
        values.setdefault("public", values.pop("shown"))
    return values


def sql_holder(what: str) -> Reader[SqlTemplate]:
    """A mapping whose only key is ``sql``."""

    def read(reading: Reading, node: Node) -> SqlTemplate | None:
        values = reading.mapping(node, what, {"sql": template}, ("sql",))
        return values.get("sql") if values else None

    return read


def _data_type(reading: Reading, node: Node) -> PostgresType | None:
    found = text(reading, node)
    if found is None:
        return None
    parsed = parse_type(found)
    if parsed is None:
        suggestion = nearest(found, TYPE_NAMES)
        reading.problem(node, "data-type", f'"{found}" is not a PostgreSQL type', suggestion)
    return parsed


def _mask(reading: Reading, node: Node) -> Mask | None:
    if isinstance(node, MapNode):
        sql = sql_holder("mask")(reading, node)
        return None if sql is None else Mask(sql=sql)
    found = scalar(reading, node)
    return None if found is None else Mask(value=found[0])


def _label(reading: Reading, node: Node) -> CaseBranch | None:
    if isinstance(node, MapNode):
        sql = sql_holder("label")(reading, node)
        return None if sql is None else CaseBranch(sql=sql)
    found = text(reading, node)
    return None if found is None else CaseBranch(label=found)


def _when(reading: Reading, node: Node) -> CaseBranch | None:
    """``{sql, label}``, or with a switch ``{value, sql}``."""
    keys = {"sql": template, "label": _label, "value": scalar}
    values = reading.mapping(node, "when", keys)
    if values is None:
        return None
    if "value" in values:
        return CaseBranch(value=values["value"][0], sql=values.get("sql"))
    for key in ("sql", "label"):
        if key not in values:
            if isinstance(node, MapNode) and is_absent(node.get(key)):
                reading.problem(node, "missing-key", f'when has no "{key}"')
            return None
    label = values["label"]
    return CaseBranch(condition=values["sql"], label=label.label, sql=label.sql)


def _else(reading: Reading, node: Node) -> CaseBranch | None:
    values = reading.mapping(node, "else", {"sql": template, "label": _label})
    if not values:
        return None
    label = values.get("label")
    return label if label is not None else CaseBranch(sql=values["sql"])


def _case(reading: Reading, node: Node) -> Case | None:
    keys = {"switch": template, "when": listing(_when, "when"), "else": _else}
    before = len(reading.problems)
    values = reading.mapping(node, "case", keys, ("when",))
    if values is None or "when" not in values:
        return None
    if not values["when"] and len(reading.problems) == before:
        reading.problem(node, "case", "case has no branches")
    return Case(values["when"], values.get("else"), values.get("switch"))


def _granularity(reading: Reading, node: Node) -> Granularity | None:
    keys = {
        "interval": interval,
        "origin": text,
        "offset": interval,
        "sql": template,
        "title": text,
    }
    values = named(reading, node, "granularity", keys)
    return None if values is None else Granularity(**values)


def _calendar_shift(reading: Reading, node: Node) -> CalendarShift | None:
    keys = {"sql": template, "name": name, "interval": interval, "type": _shift_type}
    values = reading.mapping(node, "time_shift", keys)
    return None if values is None else CalendarShift(**values)


_shift_type = choice("prior", "next", "to_start")
_window_bound = either(constant("unbounded", "unbounded"), interval)


def _rolling_window(reading: Reading, node: Node) -> RollingWindow | None:
    keys = {
        "type": choice("fixed", "to_date", "year_to_date", "quarter_to_date", "month_to_date"),
        "trailing": _window_bound,
        "leading": _window_bound,
        "offset": choice("start", "end"),
        "granularity": name,
        "time_dimension": reference,
    }
    values = reading.mapping(node, "rolling_window", keys)
    if values is None:
        return None
    kind = values.get("type", "fixed")
    if kind.endswith("_to_date"):
        # Older spelling: the granularity is part of the type.
        values["type"] = "to_date"
        values["granularity"] = kind.removesuffix("_to_date")
    bounds = [key for key in ("trailing", "leading") if key in values]
    if values.get("type") == "to_date":
        if "granularity" not in values:
            reading.problem(node, "rolling-window", "a to_date window needs a granularity")
        if bounds:
            reading.problem(node, "rolling-window", f"a to_date window has no {bounds[0]} bound")
    elif not bounds:
        reading.problem(node, "rolling-window", "a rolling window needs trailing or leading")
    return RollingWindow(**values)


def _time_shift(reading: Reading, node: Node) -> TimeShift | None:
    keys = {
        "type": _shift_type,
        "interval": interval,
        "time_dimension": reference,
        "granularity": name,
        "name": name,
    }
    values = reading.mapping(node, "time_shift", keys)
    if values is None:
        return None
    if values.get("type") == "to_start":
        if "granularity" not in values:
            reading.problem(node, "time-shift", "a shift to_start needs a granularity")
    elif "name" not in values and "interval" not in values:
        reading.problem(node, "time-shift", "a time shift needs an interval or a name")
    elif "interval" in values and "type" not in values:
        reading.problem(node, "time-shift", "a time shift needs a type: prior or next")
    return TimeShift(**values)


def _non_additive(reading: Reading, node: Node) -> NonAdditive | None:
    keys = {
        "dimension": reference,
        "choice": choice("first", "last", "min", "max", "avg"),
        "group_by": _references,
    }
    values = reading.mapping(node, "non_additive", keys, ("dimension", "choice"))
    if values is None or "dimension" not in values or "choice" not in values:
        return None
    return NonAdditive(**values)


def _conversion(reading: Reading, node: Node) -> Conversion | None:
    keys = {
        "base": reference,
        "converted": reference,
        "entity": reference,
        "window": interval,
        "calculation": choice("count", "rate"),
        "constant_properties": _references,
    }
    values = reading.mapping(node, "conversion", keys, ("base", "converted", "entity"))
    if values is None or not values.keys() >= {"base", "converted", "entity"}:
        return None
    return Conversion(**{"window": None, "calculation": "rate", **values})


def _fill(reading: Reading, node: Node) -> Fill | None:
    values = reading.mapping(node, "fill", {"value": scalar, "spine": reference}, ("spine",))
    if values is None or "spine" not in values:
        return None
    value = values.get("value")
    return Fill(None if value is None else value[0], values["spine"])


def _order_by(reading: Reading, node: Node) -> OrderBy | None:
    keys = {"sql": template, "dir": choice("asc", "desc")}
    values = reading.mapping(node, "order_by", keys, ("sql",))
    if values is None or "sql" not in values:
        return None
    return OrderBy(values["sql"], values.get("dir") == "desc")


def _python(reading: Reading, node: Node) -> str | None:
    found = text(reading, node)
    if found is None:
        return None
    module, _, function = found.partition(":")
    if not function.isidentifier() or not all(part.isidentifier() for part in module.split(".")):
        reading.problem(node, "python", f'"{found}" is not of the form "module:function"')
        return None
    return found


_DESCRIPTIVE: dict[str, Reader[Any]] = {
    "title": text,
    "description": text,
    "public": boolean,
    "shown": boolean,
    "meta": frozen_map,
}
_SYNONYMS = {"synonyms": listing(text, "synonyms"), "aliases": listing(text, "aliases")}

DIMENSION_KEYS: dict[str, Reader[Any]] = {
    **_DESCRIPTIVE,
    **_SYNONYMS,
    "type": choice(*DIMENSION_TYPES),
    "sql": template,
    "primary_key": boolean,
    "format": frozen,
    "currency": text,
    "case": _case,
    "sub_query": boolean,
    "propagate_filters_to_sub_query": boolean,
    "latitude": sql_holder("latitude"),
    "longitude": sql_holder("longitude"),
    "granularities": listing(_granularity, "granularities"),
    "mask": _mask,
    "order": choice("asc", "desc"),
    "links": listing(frozen_map, "links"),
    "values": listing(text, "values"),
    "data_type": _data_type,
    "time_zone": text,
    "time_shift": listing(_calendar_shift, "time_shift"),
    "multi_stage": boolean,
    "add_group_by": _references,
    "suggest_filter_values": boolean,
}

MEASURE_KEYS: dict[str, Reader[Any]] = {
    **_DESCRIPTIVE,
    **_SYNONYMS,
    "type": choice(*MEASURE_TYPES),
    "sql": template,
    "filters": listing(sql_holder("filter"), "filters"),
    "format": frozen,
    "currency": text,
    "mask": _mask,
    "case": _case,
    "rolling_window": _rolling_window,
    "multi_stage": boolean,
    "group_by": _references,
    "reduce_by": _references,
    "add_group_by": _references,
    "order_by": listing(_order_by, "order_by"),
    "time_shift": listing(_time_shift, "time_shift"),
    "drill_members": one_or_many(reference, "drill_members"),
    "percentile": fraction,
    "discrete": boolean,
    "approximate": boolean,
    "non_additive": _non_additive,
    "conversion": _conversion,
    "fill": _fill,
    "default_time_dimension": reference,
    "period_agg": choice("first", "last", "avg"),
    "python": _python,
}


def dimension(reading: Reading, node: Node) -> Dimension | None:
    """A dimension."""
    values = named(reading, node, "dimension", DIMENSION_KEYS, ("type",))
    if values is None:
        return None
    if "propagate_filters_to_sub_query" in values:
        values["propagate_filters"] = values.pop("propagate_filters_to_sub_query")
    _join_synonyms(values)
    return Dimension(**{"type": "string", **values})


def measure(reading: Reading, node: Node) -> Measure | None:
    """A measure."""
    values = named(reading, node, "measure", MEASURE_KEYS, ("type",))
    if values is None:
        return None
    _join_synonyms(values)
    return Measure(**{"type": "number", **values})


def segment(reading: Reading, node: Node) -> Segment | None:
    """A segment."""
    keys = {**_DESCRIPTIVE, "sql": template}
    values = named(reading, node, "segment", keys, ("sql",))
    if values is None:
        return None
    # A condition that could not be read still leaves a name that others may refer to.
    return Segment(**{"sql": SqlTemplate("", ()), **values})


def hierarchy(reading: Reading, node: Node) -> Hierarchy | None:
    """A hierarchy."""
    keys = {"title": text, "public": boolean, "shown": boolean, "levels": _references}
    values = named(reading, node, "hierarchy", keys, ("levels",))
    return None if values is None else Hierarchy(**{"levels": (), **values})


def _join_synonyms(values: dict[str, Any]) -> None:
    aliases = values.pop("aliases", ())
    if aliases:
        values["synonyms"] = (*values.get("synonyms", ()), *aliases)


def place_of_name(node: Node) -> Location:
    """The place that stands for something with a name: its name, else its start."""
    label = node.get("name") if isinstance(node, MapNode) else None
    return (label or node).location


__all__ = [
    "dimension",
    "hierarchy",
    "measure",
    "named",
    "place_of_name",
    "scalar_value",
    "segment",
    "sql_holder",
]
