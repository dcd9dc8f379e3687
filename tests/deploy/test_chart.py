"""The Helm chart: what it renders is what the server, and a cluster, take."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from proxy.config.loading import load_config
from tests.architecture.sources import ROOT
from tests.deploy.programs import attempt, run

CHART = ROOT / "deploy/helm/cubewire"
DOCKERFILE = ROOT / "deploy/docker/Dockerfile"


def template(values: dict[str, str]) -> tuple[str | Path, ...]:
    """The arguments of helm that render the chart with values in JSON."""
    settings = [part for each in values.items() for part in ("--set-json", "=".join(each))]
    return ("template", "cubewire", CHART, "--kube-version", "1.30.0", *settings)


def rendered(**values: str) -> dict[tuple[str, str], Any]:
    """The chart's objects by kind and name."""
    objects = [each for each in yaml.safe_load_all(run("helm", *template(values))) if each]
    return {(each["kind"], each["metadata"]["name"]): each for each in objects}


def pod(objects: dict[tuple[str, str], Any]) -> Any:
    (deployment,) = (each for (kind, _), each in objects.items() if kind == "Deployment")
    return deployment["spec"]["template"]


def refusal(**values: str) -> str:
    """What helm says of values that the chart does not take."""
    done = attempt("helm", *template(values))
    assert done.returncode != 0
    return done.stderr


def test_the_services_variables_stay_out_of_the_configuration() -> None:
    # A Service named cubewire makes CUBEWIRE_PORT=tcp://... of itself, an unknown key.
    assert pod(rendered())["spec"]["enableServiceLinks"] is False


def test_the_configuration_loads(tmp_path: Path) -> None:
    objects = rendered(
        config='{"server": {"max_message_bytes": 67108864}, "auth": {"users": {"anna": {}}}}',
        secret='{"values": {"CUBEWIRE_AUTH__USERS__ANNA__PASSWORD": "12345678"}}',
    )
    file = tmp_path / "cubewire.yml"
    file.write_text(objects["ConfigMap", "cubewire"]["data"]["cubewire.yml"])
    image = dict(re.findall(r"(CUBEWIRE_\w+)=(\S+)", DOCKERFILE.read_text()))
    config = load_config(file, image | objects["Secret", "cubewire"]["stringData"])
    (container,) = pod(objects)["spec"]["containers"]
    ports = {each["name"]: each["containerPort"] for each in container["ports"]}
    assert ports == {"postgresql": config.server.port, "admin": config.server.admin_port}
    mounts = {each["mountPath"] for each in container["volumeMounts"]}
    assert {str(config.models), str(config.state_directory)} <= mounts
    assert config.tls.mode == "require"
    assert config.server.max_message_bytes == 67108864
    assert config.auth.users["anna"].password is not None


def test_a_pod_lives_for_as_long_as_its_server_stops(tmp_path: Path) -> None:
    objects = rendered(shutdownDelay="5", shutdownGrace="120")
    file = tmp_path / "cubewire.yml"
    file.write_text(objects["ConfigMap", "cubewire"]["data"]["cubewire.yml"])
    server = load_config(file, {}).server
    assert (server.shutdown_delay, server.shutdown_grace) == (5, 120)
    assert pod(objects)["spec"]["terminationGracePeriodSeconds"] > 125


def test_what_the_pod_fixes_is_not_configured() -> None:
    for key in ("port", "admin_port", "shutdown_grace"):
        assert f"config.server.{key}" in refusal(config=f'{{"server": {{"{key}": 5432}}}}')


def test_unknown_and_unfit_values_are_refused() -> None:
    assert "'replica' not allowed" in refusal(replica="3")
    assert "'clientes' not allowed" in refusal(networkPolicy='{"clientes": []}')
    assert "/secret/values/PIN" in refusal(secret='{"values": {"PIN": 12345678}}')
    assert "/shutdownGrace" in refusal(shutdownGrace='"1min"')


def test_every_value_is_in_the_schema() -> None:
    schema = yaml.safe_load((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert set(values) == set(schema["properties"]) - {"global"}
    for name, part in schema["properties"].items():
        if "properties" in part:
            assert set(values[name]) == set(part["properties"]), name


def test_an_eviction_takes_one_pod_at_a_time() -> None:
    budget = rendered(replicas="10")["PodDisruptionBudget", "cubewire"]["spec"]
    assert budget["maxUnavailable"] == 1
    assert "minAvailable" not in budget


def test_files_of_the_users_are_mounted() -> None:
    found = pod(
        rendered(
            volumes='[{"name": "ca", "secret": {"secretName": "warehouse-ca"}}]',
            volumeMounts='[{"name": "ca", "mountPath": "/etc/ca"}]',
            serviceAccountName='"reader"',
            tlsSecret='"tls"',
        )
    )
    (container,) = found["spec"]["containers"]
    volumes = {each["name"] for each in found["spec"]["volumes"]}
    assert volumes == {each["name"] for each in container["volumeMounts"]}
    assert "/etc/ca" in {each["mountPath"] for each in container["volumeMounts"]}
    assert found["spec"]["serviceAccountName"] == "reader"
