"""Resolution: what references stand for, and the ways between cubes."""

from __future__ import annotations

from pathlib import Path

import pytest

from semantic.model.loader import load_model, load_texts
from semantic.model.model import MemberTarget, Model, ResolutionError, RowTarget
from semantic.model.template import parse_template

SHOP = (Path(__file__).parent / "testdata" / "shop.yml").read_text()
EXTRA = """
cubes:
  - name: shipments
    sql_table: shipments
    joins:
      - {name: orders, relationship: many_to_one, sql: "{CUBE}.o = {orders.id}"}
      - {name: users, alias: driver, relationship: many_to_one, sql: "{CUBE}.d = {driver.id}"}
      - {name: shipments, alias: parent, relationship: many_to_one, sql: "{CUBE}.p = {parent}.i"}
    dimensions:
      - {name: driver, type: string, sql: "{CUBE}.driver"}
      - {name: sent_at, type: time, sql: "{CUBE}.sent_at"}
views:
  - name: v
    cubes:
      - {join_path: shipments, includes: [driver, sent_at]}
      - {join_path: shipments.orders.users, prefix: true, includes: "*"}
    measures:
      - {name: n, type: number, sql: "{users_count} * 2"}
"""


@pytest.fixture(scope="module")
def model() -> Model:
    report = load_texts({"shop.yml": SHOP, "extra.yml": EXTRA})
    assert report.model is not None, report.render_text()
    return report.model


def resolve(model: Model, home: str, text: str) -> tuple[object, ...]:
    (reference,) = parse_template(text).references
    target = model.resolve(home, reference)
    if isinstance(target, RowTarget):
        return ("row", target.path, target.cube)
    assert isinstance(target, MemberTarget)
    return (target.path, target.cube, target.member.name, target.granularity)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{CUBE}", ("row", (), "shipments")),
        ("{shipments}.x", ("row", (), "shipments")),
        ("{driver}", ((), "shipments", "driver", None)),
        ("{CUBE.driver}", ((), "shipments", "driver", None)),
        ("{shipments.driver}", ((), "shipments", "driver", None)),
        ("{driver}.id", ("row", ("driver",), "users")),
        ("{CUBE.driver}.id", ("row", ("driver",), "users")),
        ("{driver.city}", (("driver",), "users", "city", None)),
        ("{CUBE.driver.city}", (("driver",), "users", "city", None)),
        ("{orders}", ("row", ("orders",), "orders")),
        ("{orders.users.city}", (("orders", "users"), "users", "city", None)),
        ("{orders.created_at.fiscal_year}", (("orders",), "orders", "created_at", "fiscal_year")),
        ("{sent_at.month}", ((), "shipments", "sent_at", "month")),
        ("{line_items.sku}", (("orders", "line_items"), "line_items", "sku", None)),
        ("{parent.parent.orders}", ("row", ("parent", "parent", "orders"), "orders")),
        ("{parent.driver}", (("parent",), "shipments", "driver", None)),
    ],
)
def test_in_a_cube(model: Model, text: str, expected: tuple[object, ...]) -> None:
    assert resolve(model, "shipments", text) == expected


@pytest.mark.parametrize(
    ("home", "text", "message"),
    [
        ("shipments", "{users.city}", "users is reached from shipments by several paths"),
        ("shipments", "{nothing}", 'cube shipments has no member "nothing"'),
        ("shipments", "{driver.driver}", 'cube users has no member "driver"'),
        ("shipments", "{sent_at.moon}", 'shipments.sent_at has no granularity "moon"'),
        ("users", "{orders}", "cube users has no join path to cube orders"),
        ("v", "{CUBE}.x", "the members of a view are over its columns"),
        ("v", "{orders.status}", 'view v has no member "orders"'),
    ],
)
def test_what_stands_for_nothing(model: Model, home: str, text: str, message: str) -> None:
    with pytest.raises(ResolutionError, match=message):
        resolve(model, home, text)


def test_in_a_view(model: Model) -> None:
    assert resolve(model, "v", "{users_city}") == (("orders", "users"), "users", "city", None)
    assert resolve(model, "v", "{v.sent_at.week}") == ((), "shipments", "sent_at", "week")
    assert resolve(model, "v", "{CUBE.n}") == ((), "v", "n", None)
    view = model.views_by_name["v"]
    assert list(view.columns) == [
        "driver",
        "sent_at",
        "users_id",
        "users_city",
        "users_count",
        "n",
    ]


def test_paths(model: Model) -> None:
    assert model.paths("shipments", "line_items") == (("orders", "line_items"),)
    assert model.paths("shipments", "users") == (("driver",), ("orders", "users"))
    assert model.paths("users", "orders") == ()
    steps = model.walk("shipments", ("orders", "users"))
    assert [(step.source, step.target) for step in steps] == [
        ("shipments", "orders"),
        ("orders", "users"),
    ]


def test_paths_in_a_dense_graph_are_found_at_once() -> None:
    count = 60
    cubes = []
    for number in range(count):
        joins = "".join(
            f"\n      - {{name: c{other}, relationship: many_to_one,"
            f' sql: "{{CUBE}}.x = {{c{other}}}.x"}}'
            for other in range(count)
            if other != number
        )
        cubes.append(f"  - name: c{number}\n    sql_table: t\n    joins:{joins}\n")
    report = load_texts({"dense.yml": "cubes:\n" + "".join(cubes)})
    assert report.model is not None, report.render_text()
    assert len(report.model.paths("c0", "c59")) == 2


def test_load_model_reads_folders_and_reports_files(tmp_path: Path) -> None:
    (tmp_path / "cubes").mkdir()
    (tmp_path / "cubes" / "shop.yml").write_text("\ufeff" + SHOP.replace("\n", "\r\n"))
    (tmp_path / ".hidden.yml").write_text("nonsense: [")
    (tmp_path / "notes.txt").write_text("nonsense: [")
    report = load_model(tmp_path, {})
    assert report.model is not None, report.render_text()
    assert report.model.cubes[0].location.file == "cubes/shop.yml"
    assert load_model(tmp_path / "cubes" / "shop.yml", {}).model == report.model
    (tmp_path / "latin.yaml").write_bytes(b"cubes: [\xff]")
    broken = load_model(tmp_path, {})
    assert broken.model is None
    assert broken.render_text().startswith("latin.yaml: not UTF-8: byte 8 of the file\n")
    empty = load_model(tmp_path / "nowhere", {})
    assert empty.model is None
    assert "no model files" in empty.render_text() or "cannot be read" in empty.render_text()
