"""Dagster's chart itself, rendered by Helm with deploy/kubernetes/values.yaml, where both are at hand.

helm pull dagster --repo https://dagster-io.github.io/helm --version 1.13.27 --untar
IMGRELAY_DAGSTER_CHART=dagster pytest tests/deploy/test_kubernetes_chart.py
"""

import json
import os
import shutil
import subprocess
from functools import cache
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.support.compose_deployment import DEPLOY
from tests.support.helm_chart import HOME, NAMESPACE, RELEASE, chart_values, handed_on, instance
from tests.support.kubernetes_api import VERSION

CHART = os.environ.get("IMGRELAY_DAGSTER_CHART", "")
pytestmark = [
    pytest.mark.helm,
    pytest.mark.skipif(
        not (CHART and shutil.which("helm")), reason="needs helm, and Dagster's chart in $IMGRELAY_DAGSTER_CHART"
    ),
]


@cache
def rendered() -> dict[tuple[str, str], dict[str, Any]]:
    """What would be installed, by kind and name. Helm checks the values against the chart's schema, if it has one."""
    values = DEPLOY / "kubernetes" / "values.yaml"
    made = subprocess.run(
        ["helm", "template", RELEASE, CHART, "--namespace", NAMESPACE, "--values", values],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    objects = [each for each in yaml.safe_load_all(made.stdout) if each]
    return {(each["kind"], each["metadata"]["name"]): each for each in objects}


def deployments() -> dict[str, dict[str, Any]]:
    """The pods of the three roles."""
    return {name: each["spec"]["template"]["spec"] for (kind, name), each in rendered().items() if kind == "Deployment"}


def test_every_object_is_valid_kubernetes() -> None:
    assert len(deployments()) == 3
    for made in rendered().values():
        kubernetes_validate.validate(made, VERSION, strict=True)


def test_the_instance_is_as_the_tests_take_it_to_be() -> None:
    found = yaml.safe_load(rendered()["ConfigMap", f"{RELEASE}-dagster-instance"]["data"]["dagster.yaml"])
    for name, wanted in instance(chart_values()).items():
        assert includes(found[name], wanted), (name, found[name], wanted)


def test_runs_are_handed_on_what_the_tests_take_them_to_be() -> None:
    pod = deployments()[f"{RELEASE}-dagster-user-deployments-imgrelay"]
    (container,) = pod["containers"]
    given = {variable["name"]: variable.get("value") for variable in container["env"]}
    found = json.loads(given["DAGSTER_CLI_API_GRPC_CONTAINER_CONTEXT"])
    assert includes(found, handed_on(chart_values())), found
    assert given["DAGSTER_CURRENT_IMAGE"] == container["image"]


def test_no_pod_is_root_can_write_its_image_or_listens_where_its_user_may_not() -> None:
    for pod in deployments().values():
        assert pod["securityContext"]["runAsNonRoot"] is True
        for container in [*pod.get("initContainers", []), *pod["containers"]]:
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
        (container,) = pod["containers"]
        ports = [port["containerPort"] for port in container.get("ports", [])]
        asked = container.get("readinessProbe", {}).get("httpGet", {}).get("port")
        assert all(port >= 1024 for port in ports)
        assert asked is None or asked in ports


def test_every_secret_and_config_map_is_made_by_the_chart_or_by_the_readme() -> None:
    readme = (DEPLOY / "kubernetes" / "README.md").read_text()
    for pod in deployments().values():
        (container,) = pod["containers"]
        for source in container["envFrom"]:
            if "configMapRef" in source:
                assert ("ConfigMap", source["configMapRef"]["name"]) in rendered()
            elif not source["secretRef"].get("optional"):
                assert f"secret generic {source['secretRef']['name']}" in readme
        password = next(one for one in container["env"] if one["name"] == "DAGSTER_PG_PASSWORD")
        assert f"secret generic {password['valueFrom']['secretKeyRef']['name']}" in readme


def test_the_readme_names_the_service() -> None:
    port = rendered()["Service", f"{RELEASE}-dagster-webserver"]["spec"]["ports"][0]["port"]
    readme = (DEPLOY / "kubernetes" / "README.md").read_text()
    assert f"port-forward service/{RELEASE}-dagster-webserver {port}" in readme
    home = rendered()["ConfigMap", f"{RELEASE}-dagster-webserver-env"]["data"]["DAGSTER_HOME"]
    assert home == HOME


def includes(found: Any, wanted: Any) -> bool:
    """Whether all that is wanted is there; what is there beside it is the chart's own."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(
            name in found and includes(found[name], value) for name, value in wanted.items()
        )
    return bool(found == wanted)
