"""``cubewire access``: what it shows, tells apart and tests."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from proxy.cli import main
from tests.security.shop import MODEL, write_configuration


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_configuration(tmp_path_factory.mktemp("access")))


def cubewire(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    code = main(["access", *arguments])
    captured = capsys.readouterr()
    return code, captured.out + captured.err


def test_show(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out = cubewire(capsys, "show", "--user", "otto", "--config", config)
    assert (code, out) == (
        0,
        """\
cities: cube
  columns: id, name
customers: hidden, no access policy applies to the caller
orders: cube
  columns: id, customer_id, city_id, status, placed_at, placed_at_fiscal_year, count, revenue
  rows: WHERE city_id = 1, by orders.access_policy[1] (group: *)
payroll: hidden, no access policy applies to the caller
sold: view
  columns: status, placed_at, placed_at_fiscal_year, cities_name, revenue, paid
policies: orders.access_policy[1] (group: *)
""",
    )


def test_show_somebody_who_is_not_configured(
    config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ("--group", "sales", "--attribute", "city=[1, 2]", "--format", "json")
    code, out = cubewire(capsys, "show", "--user", "zoe", *more, "--config", config)
    assert code == 0
    relations = {relation["name"]: relation for relation in json.loads(out)["relations"]}
    assert relations["customers"]["columns"] == ["id", "name", "count"]
    (grant,) = relations["orders"]["grants"]
    assert grant["rows"] == "city_id IN (1, 2)"


def test_diff(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    both = ("diff", "--user", "otto", "--user", "sara", "--config", config)
    code, out = cubewire(capsys, *both)
    assert code == 1
    assert "- customers: hidden, no access policy applies to the caller" in out
    assert "+ sold: column customers_name" in out
    code, out = cubewire(capsys, "diff", "--user", "sara", "--user", "sara", "--config", config)
    assert (code, out) == (0, "")
    code, out = cubewire(capsys, "diff", "--user", "otto", "--user", "zoe", "--config", config)
    assert (code, out) == (
        2,
        "cubewire: there is no user 'zoe' in the configuration or the users file\n",
    )


def test_the_models_own_tests(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out = cubewire(capsys, "test", "--config", config)
    assert (code, out.splitlines()[-1]) == (0, "6 passed, 0 failed")


def test_what_fails_is_said(
    config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = MODEL.read_text()
    for right, wrong in (
        ("paid: 740", "paid: 741"),
        ("last: null", "first: null"),
        ('"42703"', '"42P01"'),
        ("[{earned: 1260}]", "[]"),
    ):
        assert right in text
        text = text.replace(right, wrong)
    others, _, payroll = text.rpartition("group: staff")
    text = f"{others}group: '*'{payroll}"
    models = tmp_path / "models"
    models.mkdir()
    (models / "shop.yml").write_text(text)
    more = ("--config", config, "--models", str(models), "--format", "json")
    code, out = cubewire(capsys, "test", *more)
    shutil.rmtree(models)
    problems = {test["name"]: test["problem"] for test in json.loads(out)}
    assert code == 1
    assert problems["orders: a city's orders"].startswith("no row is {status: done, paid: 741}")
    assert problems["orders: nobody's city"] == "the statement has no column first"
    assert problems["orders: margins are hidden"].startswith("ERROR: 42703")
    assert problems["orders: staff see margins"].startswith("1 more rows")
    assert problems["payroll: it does not exist"] == "3 rows instead of error *"
