from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from proxy.config.loading import load_config
from proxy.observability.metrics import HELP
from semantic.model.loader import load_model
from tests.architecture.sources import ROOT

DEPLOY = ROOT / "deploy"
_METRIC = re.compile(r"\bcubewire_\w+")
_SERIES = ("_bucket", "_sum", "_count")


def known(metric: str) -> bool:
    base = next((metric.removesuffix(end) for end in _SERIES if metric.endswith(end)), metric)
    return metric in HELP or base in HELP


def texts_with_metrics() -> list[tuple[str, str]]:
    dashboard = json.loads((DEPLOY / "grafana/cubewire.json").read_text())
    targets = [target for panel in dashboard["panels"] for target in panel["targets"]]
    rules = yaml.safe_load((DEPLOY / "prometheus/alerts.yml").read_text())["groups"][0]["rules"]
    return [("dashboard", target["expr"]) for target in targets] + [
        (rule["alert"], rule["expr"]) for rule in rules
    ]


@pytest.mark.parametrize(("place", "expression"), texts_with_metrics())
def test_metrics_exist(place: str, expression: str) -> None:
    unknown = [name for name in _METRIC.findall(expression) if not known(name)]
    assert not unknown, f"{place}: {unknown}"


def test_every_metric_is_on_the_dashboard() -> None:
    shown = " ".join(text for place, text in texts_with_metrics() if place == "dashboard")
    missing = {name for name in HELP if name not in shown}
    assert not missing


def test_panels_do_not_overlap() -> None:
    dashboard = json.loads((DEPLOY / "grafana/cubewire.json").read_text())
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells


def test_the_compose_files_configuration_loads() -> None:
    config = load_config(DEPLOY / "compose/cubewire.yml", {})
    assert config.tls.mode == "require"


SECRETS = {
    name: "x"
    for name in (
        *("SNOWFLAKE_KEY_PASSWORD", "BIGQUERY_KEY", "DATABRICKS_CLIENT_SECRET"),
        *("SQLSERVER_PASSWORD",),
    )
}


EXAMPLES = sorted((DEPLOY / "examples").glob("*.yml"))


def test_there_are_examples() -> None:
    assert EXAMPLES


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_load(path: Path) -> None:
    config = load_config(path, SECRETS)
    (source,) = config.data_sources.values()
    assert source.type == {"motherduck": "duckdb"}.get(path.stem, path.stem)
    # None has a secret in it.
    assert "x" not in yaml.safe_load(path.read_text())["data_sources"]["default"].values()


def test_the_compose_files_model_loads() -> None:
    report = load_model(DEPLOY / "compose/models", {})
    assert report.model is not None, report.render_text()


def test_the_compose_file_mounts_what_exists() -> None:
    composed = yaml.safe_load((DEPLOY / "compose/compose.yml").read_text())
    for service in composed["services"].values():
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (DEPLOY / "compose" / source).exists(), source
            else:
                assert source in composed["volumes"]


def test_haproxy_names_the_servers_of_the_compose_file() -> None:
    composed = yaml.safe_load((DEPLOY / "compose/compose.yml").read_text())
    servers = re.findall(
        r"^\s+server \S+ (\S+):15432$",
        (DEPLOY / "compose/haproxy.cfg").read_text(),
        re.MULTILINE,
    )
    assert servers
    assert set(servers) <= set(composed["services"])


def copied(line: str) -> list[str]:
    words = [word for word in line.split()[1:] if not word.startswith("--")]
    return words[:-1]


def test_the_image_is_made_of_what_exists() -> None:
    dockerfile = (DEPLOY / "docker/Dockerfile").read_text()
    allowed = (DEPLOY / "docker/Dockerfile.dockerignore").read_text().split("\n")
    for line in dockerfile.splitlines():
        if line.startswith("COPY ") and "--from" not in line:
            for name in copied(line):
                assert Path(ROOT / name).exists(), name
                assert f"!{name}" in allowed
    assert "USER 10001:10001" in dockerfile


def test_environment_variables_of_the_image_are_keys() -> None:
    dockerfile = (DEPLOY / "docker/Dockerfile").read_text()
    found = dict(re.findall(r"(CUBEWIRE_\w+)=(\S+)", dockerfile))
    config = load_config(None, {name: value for name, value in found.items()})
    assert config.server.admin_port == 9187
    assert str(config.state_directory) == "/var/lib/cubewire"
