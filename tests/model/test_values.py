"""Every value of the model is frozen, slotted, hashable, picklable, and found by its content."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pickle
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import semantic.model
from semantic.model.loader import load_model, load_texts
from semantic.model.model import Model
from semantic.model.values import FrozenMap, freeze, thaw

FOLDER = Path(__file__).parents[2] / "cube_models"
SHOP = (Path(__file__).parent / "testdata" / "shop.yml").read_text()


def dataclasses_of_the_model() -> list[type]:
    found: dict[str, type] = {}
    for module in pkgutil.iter_modules(semantic.model.__path__, "semantic.model."):
        for name, value in vars(importlib.import_module(module.name)).items():
            if inspect.isclass(value) and dataclasses.is_dataclass(value):
                found[name] = value
    return [value for name, value in sorted(found.items()) if name != "_Open"]


@pytest.mark.parametrize("kind", dataclasses_of_the_model(), ids=lambda kind: kind.__name__)
def test_frozen_slots_documented(kind: type) -> None:
    assert kind.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert "__slots__" in vars(kind)
    assert kind.__doc__
    assert not kind.__doc__.startswith(f"{kind.__name__}(")
    assert kind.__hash__ is not None
    for field in dataclasses.fields(kind):
        assert field.compare == field.repr, f"{field.name} would (not) enter the version"


def load(text: str) -> Model:
    report = load_texts({"model.yml": text})
    assert report.model is not None, report.render_text()
    return report.model


def test_hashable_and_picklable() -> None:
    model = load_model(FOLDER, {}).model
    assert model is not None
    again = load_model(FOLDER, {}).model
    assert again == model
    assert hash(again) == hash(model)
    copy = pickle.loads(pickle.dumps(model))
    assert copy == model
    assert (
        copy.cubes_by_name["flights"].members.keys()
        == model.cubes_by_name["flights"].members.keys()
    )


def test_version_is_of_the_content() -> None:
    version = load(SHOP).version
    assert load("# a comment\n\n" + SHOP).version == version
    blocks = SHOP.removeprefix("cubes:\n").split("\n\n")
    files = {f"{number}.yml": "cubes:\n" + block for number, block in enumerate(blocks)}
    report = load_texts(files)
    assert report.model is not None
    assert report.model.version == version
    assert load(SHOP.replace("paid", "payed")).version != version
    assert load(SHOP.replace("Europe", "")).version == version


def test_version_is_the_same_in_every_process() -> None:
    """Neither hash seeds nor the order of sets enter."""
    program = (
        "from pathlib import Path; from semantic.model.loader import load_model;"
        f"print(load_model(Path({str(FOLDER)!r}), {{}}).model.version)"
    )
    versions = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(FOLDER.parent)},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("0", "1", "2")
    }
    assert len(versions) == 1


def test_every_change_of_a_field_changes_the_version() -> None:
    model = load(SHOP)
    orders = model.cubes_by_name["orders"]
    others = [cube for cube in model.cubes if cube.name != "orders"]
    changes: dict[str, object] = {
        "title": "x",
        "public": False,
        "meta": FrozenMap((("a", 1),)),
        "data_source": "x",
        "dimensions": orders.dimensions[::-1],
    }
    for field, value in changes.items():
        changed = dataclasses.replace(orders, **{field: value})
        assert Model((*others, changed)).version != model.version, field
    assert Model((*others, orders)).version == model.version


def test_freeze_and_thaw() -> None:
    data = {"a": [1, {"b": None}, 2.5, True, "x"], "c": {}}
    assert thaw(freeze(data)) == data
    assert hash(freeze(data)) == hash(freeze(dict(data)))
