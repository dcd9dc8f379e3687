"""Scans of what measures look at beside the relation that is queried: events and spines."""

from __future__ import annotations

from dataclasses import replace

from sqlglot import exp

from semantic.compiler.members import Members
from semantic.compiler.names import Names
from semantic.compiler.plan import PlanNode, Scan
from semantic.compiler.scan import ScanBuilder
from semantic.compiler.stages import (
    Conversion,
    Events,
    EventScan,
    Fill,
    children_of,
    spec_of,
    stage,
)
from semantic.compiler.trees import rebuild
from semantic.errors import UnsupportedError


def with_event_scans(
    formula: exp.Expr, members: Members, names: Names, data_source: str
) -> exp.Expr:
    """A formula whose conversions and fills have the scans that they look at."""
    if not any(isinstance(spec_of(node), Conversion | Fill) for node in formula.walk()):
        return formula

    def scanned(node: exp.Expr) -> exp.Expr | None:
        spec = spec_of(node)
        if isinstance(spec, Fill):
            children = [rebuild(child, scanned) for child in children_of(node)]
            filled = _with_spine(spec, members, names)
            _check_source(filled.scan, data_source)
            return stage(filled, *children)
        if not isinstance(spec, Conversion):
            return None
        scans = (_scan(spec.base, members, names), _scan(spec.converted, members, names))
        for events in scans:
            _check_source(events.scan, data_source)
        return stage(replace(spec, scans=scans), *children_of(node))

    return rebuild(formula, scanned)


def _with_spine(spec: Fill, members: Members, names: Names) -> Fill:
    cube = members.sql.model.cubes_by_name[spec.cube]
    builder = ScanBuilder(members, cube, names.take(spec.cube), names)
    value = builder.expression("value", spec.tree, spec.spine_type)
    return replace(spec, scan=builder.make(), column=value.name)


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


def _check_source(scan: PlanNode | None, data_source: str) -> None:
    if isinstance(scan, Scan) and scan.data_source != data_source:
        raise UnsupportedError(
            f"{scan.relation} is in another data source than the measure's own rows",
            hint="A query reads one data source.",
        )
