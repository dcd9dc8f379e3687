"""Whatever the files hold, a report comes back; and a large model loads in time."""

from __future__ import annotations

import json
import time
from pathlib import Path

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from semantic.model.loader import load_texts
from semantic.model.read_cubes import CUBE_KEYS
from semantic.model.read_members import DIMENSION_KEYS, MEASURE_KEYS
from semantic.model.read_views import VIEW_KEYS

FOLDER = Path(__file__).parents[2] / "cube_models"
DEMO = {path.name: path.read_text() for path in sorted(FOLDER.glob("*.yml"))}

WORDS = st.sampled_from(
    [
        *("a", "b", "x", "CUBE", "*", "{CUBE}.x", "{x}", "{a.x}", "{b}", "{a.b.x}", "{"),
        *("1 day", "unbounded", "string", "time", "number", "sum", "count", "many_to_one"),
        *("one_to_many", "rollup", "{a.sql()}", "{FILTER_PARAMS.a.x.filter('x')}", "~"),
        *("{SECURITY_CONTEXT.x}", "numeric(9,2)", "equals", "2024-01-01", "a.x", "a.b"),
    ]
)
SCALARS = st.one_of(WORDS, st.none(), st.booleans(), st.integers(), st.floats(), st.text())
NAMES = sorted({*CUBE_KEYS, *DIMENSION_KEYS, *MEASURE_KEYS, *VIEW_KEYS, "name", "cubes", "views"})
KEYS = st.one_of(st.sampled_from(NAMES), st.text(max_size=5))
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(KEYS, inner, max_size=6)),
    max_leaves=25,
)


def some(keys: object) -> st.SearchStrategy[dict[str, object]]:
    return st.dictionaries(st.sampled_from(sorted(keys)), ANYTHING, max_size=5)  # type: ignore[call-overload]


def members(keys: object, types: list[str]) -> st.SearchStrategy[list[dict[str, object]]]:
    named = st.fixed_dictionaries(
        {"name": st.sampled_from("abxy"), "type": st.sampled_from(types), "sql": WORDS}
    )
    both = st.tuples(some(keys), named).map(lambda pair: {**pair[0], **pair[1]})
    return st.lists(both, max_size=4)


CUBES = st.lists(
    st.fixed_dictionaries(
        {"name": st.sampled_from("abc"), "sql_table": WORDS},
        optional={
            "extends": WORDS,
            "joins": st.lists(
                st.fixed_dictionaries(
                    {
                        "name": st.sampled_from("abc"),
                        "relationship": st.sampled_from(["many_to_one", "one_to_many"]),
                        "sql": WORDS,
                    },
                    optional={"alias": st.sampled_from("abx"), "valid": ANYTHING},
                ),
                max_size=3,
            ),
            "dimensions": members(DIMENSION_KEYS, ["string", "time", "number", "geo", "switch"]),
            "measures": members(MEASURE_KEYS, ["sum", "number", "count", "percentile", "rank"]),
            "segments": ANYTHING,
            "hierarchies": ANYTHING,
            "pre_aggregations": ANYTHING,
            "access_policy": ANYTHING,
        },
    ),
    max_size=3,
)
VIEWS = st.lists(
    st.fixed_dictionaries(
        {
            "name": st.sampled_from("vw"),
            "cubes": st.lists(
                st.fixed_dictionaries(
                    {"join_path": WORDS, "includes": st.one_of(st.just("*"), ANYTHING)},
                    optional={"prefix": st.booleans(), "alias": WORDS},
                ),
                max_size=3,
            ),
        },
        optional={"measures": members(MEASURE_KEYS, ["number"]), "folders": ANYTHING},
    ),
    max_size=2,
)
RELAXED = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def load(text: str) -> None:
    report = load_texts({"model.yml": text})
    assert (report.model is None) == bool(report.problems)
    report.render_text()
    json.dumps(report.to_json())


@RELAXED
@given(st.text())
def test_any_text(text: str) -> None:
    load(text)


@RELAXED
@given(st.text(alphabet="{}[]:,-&*!|>'\"%#\n \tab{%}"))
def test_text_like_yaml_and_templates(text: str) -> None:
    load("cubes:\n" + text)


@RELAXED
@given(st.dictionaries(KEYS, ANYTHING, max_size=4))
def test_any_data(data: dict[str, object]) -> None:
    load(yaml.safe_dump(data))


@RELAXED
@given(CUBES, VIEWS)
def test_data_like_a_model(cubes: object, views: object) -> None:
    load(yaml.safe_dump({"cubes": cubes, "views": views}))


@RELAXED
@given(st.sampled_from(sorted(DEMO)), st.data())
def test_a_damaged_demo(name: str, data: st.DataObject) -> None:
    text = DEMO[name]
    start = data.draw(st.integers(0, len(text)))
    length = data.draw(st.integers(0, 40))
    middle = data.draw(st.one_of(WORDS, st.text(max_size=5)))
    load_texts({**DEMO, name: text[:start] + middle + text[start + length :]}).render_text()


def messages(text: str) -> list[str]:
    return [problem.message for problem in load_texts({"model.yml": text}).problems]


def test_hostile_yaml_is_refused_at_once() -> None:
    laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)
    )
    start = time.process_time()
    assert messages(laughs) == ["YAML: too large once its aliases are expanded"]
    assert messages("[" * 100_000) == ["YAML: nested too deeply"]
    assert messages("cubes: &a [*a]") == ["YAML: alias *a has no anchor before it", *NO_NAME]
    assert messages("? {a: b}\n: c\n") == ["YAML: a key is a plain name"]
    assert "YAML: << takes a mapping" in messages("a: {<<: 3}")
    assert "YAML: control characters are not allowed" in messages("a: \x00")
    assert messages("a: \ud800") == ["YAML: text is not valid Unicode"]
    assert time.process_time() - start < 5


NO_NAME = ['cube has no "name"']


def test_a_relation_has_a_limit_of_columns() -> None:
    lines = "".join(f"      - {{name: d{n}, type: string, sql: x}}\n" for n in range(1599))
    assert messages(f"cubes:\n  - name: a\n    sql_table: a\n    dimensions:\n{lines}") == [
        "1599 members: a relation has at most 1598 columns"
    ]


def a_thousand_cubes() -> dict[str, str]:
    files = {}
    for number in range(1000):
        lines = ["cubes:", f"  - name: cube_{number}", "    sql_table: public.facts"]
        lines += [
            "    joins:",
            f"      - name: cube_{(number + 1) % 1000}",
            "        relationship: many_to_one",
            f'        sql: "{{CUBE.d1}} = {{cube_{(number + 1) % 1000}.d0}}"',
            "    dimensions:",
        ]
        for member in range(35):
            lines += [
                f"      - name: d{member}",
                "        type: number",
                f'        sql: "{{CUBE}}.column_{member}"',
                "        description: A column of the table, as it is",
            ]
        lines += ["        primary_key: true", "    measures:"]
        for member in range(15):
            lines += [
                f"      - name: m{member}",
                "        type: sum",
                f'        sql: "{{d{member}}}"',
                "        title: A measure",
            ]
        files[f"cube_{number}.yml"] = "\n".join(lines) + "\n"
    return files


def test_a_thousand_cubes_load_in_ten_seconds() -> None:
    files = a_thousand_cubes()
    start = time.process_time()
    report = load_texts(files)
    spent = time.process_time() - start
    assert report.model is not None, report.render_text()
    assert sum(len(cube.members) for cube in report.model.cubes) == 50_000
    print(f"1,000 cubes of 50 members: {spent:.2f} s")
    assert spent < 10
