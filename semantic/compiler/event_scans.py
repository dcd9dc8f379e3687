"""Scans of the events that conversion measures look at, beside the relation that is queried."""

from __future__ import annotations

from dataclasses import replace

from sqlglot import exp

from semantic.compiler.names import Names
from semantic.compiler.scan import Members, ScanBuilder
from semantic.compiler.stages import Conversion, Events, EventScan, children_of, spec_of, stage
from semantic.compiler.trees import rebuild


def with_event_scans(formula: exp.Expr, members: Members, names: Names) -> exp.Expr:
    """A formula whose conversions have the scans that they look at."""
    if not any(isinstance(spec_of(node), Conversion) for node in formula.walk()):
        return formula

    def scanned(node: exp.Expr) -> exp.Expr | None:
        spec = spec_of(node)
        if not isinstance(spec, Conversion):
            return None
        scans = (_scan(spec.base, members, names), _scan(spec.converted, members, names))
        return stage(replace(spec, scans=scans), *children_of(node))

    return rebuild(formula, scanned)


def _scan(events: Events, members: Members, names: Names) -> EventScan:
    cube = members.sql.model.cubes_by_name[events.cube]
    builder = ScanBuilder(members, cube, names.take(events.cube), names)
    condition, time, entity, *rest = (
        builder.expression(wanted, tree, kind).name
        for wanted, tree, kind in zip(
            (
                "event",
                "time",
                "entity",
                *(f"key:{place + 1}" for place in range(len(events.key))),
                *(f"property:{place + 1}" for place in range(len(events.properties))),
            ),
            (events.condition, events.time, events.entity, *events.key, *events.properties),
            events.types,
            strict=True,
        )
    )
    count = len(events.key)
    return EventScan(
        builder.make(), condition, time, entity, tuple(rest[:count]), tuple(rest[count:])
    )
