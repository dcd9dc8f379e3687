"""What the makers of each format say of our files, where their checker is installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.architecture.sources import ROOT
from tests.deploy.programs import run

DEPLOY = ROOT / "deploy"
CHART = DEPLOY / "helm/cubewire"


def test_dockerfile() -> None:
    run("hadolint", "--ignore", "DL3008", DEPLOY / "docker/Dockerfile")


def test_alert_rules() -> None:
    run("promtool", "check", "rules", DEPLOY / "prometheus/alerts.yml")


def test_prometheus_configuration(tmp_path: Path) -> None:
    text = (DEPLOY / "compose/prometheus.yml").read_text()
    rules = DEPLOY / "prometheus/alerts.yml"
    copy = tmp_path / "prometheus.yml"
    copy.write_text(text.replace("/etc/prometheus/alerts.yml", str(rules)))
    run("promtool", "check", "config", copy)


def test_balancer(tmp_path: Path) -> None:
    # Names of the compose network do not exist here.
    text = (DEPLOY / "compose/haproxy.cfg").read_text()
    copy = tmp_path / "haproxy.cfg"
    copy.write_text(text.replace("cubewire-1:", "127.0.0.1:").replace("cubewire-2:", "127.0.0.2:"))
    run("haproxy", "-c", "-f", copy)


def test_unit() -> None:
    if not Path("/opt/cubewire/bin/cubewire").exists():
        pytest.skip("systemd-analyze wants the program that the unit starts")
    run("systemd-analyze", "verify", DEPLOY / "systemd/cubewire.service")


VALUES = {
    "defaults": (),
    "everything": (
        "tlsSecret=cert",
        "autoscaling.enabled=true",
        "autoscaling.connectionsPerPod=200",
        "serviceMonitor.enabled=true",
        "existingModels=models",
        "secret.existing=secrets",
        "networkPolicy.clients[0].podSelector.matchLabels.bi=yes",
        "networkPolicy.monitoring[0].podSelector.matchLabels.app=prometheus",
        "networkPolicy.egress[0].ipBlock.cidr=10.0.0.0/8",
        "podAnnotations.team=data",
        "nodeSelector.disk=ssd",
    ),
}


@pytest.mark.parametrize("name", VALUES)
def test_chart(name: str) -> None:
    settings = [part for value in VALUES[name] for part in ("--set", value)]
    run("helm", "lint", "--strict", CHART, *settings)
    text = run("helm", "template", "release", CHART, "--kube-version", "1.30.0", *settings)
    assert "kind: Deployment" in text
    assert ("kind: HorizontalPodAutoscaler" in text) == (name == "everything")
