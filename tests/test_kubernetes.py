"""deploy/kubernetes: the values are such as the chart takes, and what runs are made of is valid Kubernetes.

The chart itself is not run here, nor is a cluster: the objects are made by dagster-k8s, as its launcher and executor
make them, and checked against Kubernetes' own schemas.
"""

import re
from functools import cache
from typing import Any

import kubernetes_validate
import pytest
import yaml
from dagster_k8s.container_context import K8sContainerContext
from dagster_k8s.job import DagsterK8sJobConfig, UserDefinedDagsterK8sConfig, construct_dagster_k8s_job
from kubernetes.client import ApiClient

from tests.deployed import DEPLOY

VERSION = "1.34"


@cache
def values() -> dict[str, Any]:
    return yaml.safe_load((DEPLOY / "kubernetes" / "values.yaml").read_text())


def location() -> dict[str, Any]:
    (only,) = values()["dagster-user-deployments"]["deployments"]
    return only


def check(kind: str, body: dict[str, Any]) -> None:
    api = {"Job": "batch/v1", "Pod": "v1"}[kind]
    kubernetes_validate.validate({"apiVersion": api, "kind": kind, **body}, VERSION, strict=True)


def image(part: dict[str, Any]) -> str:
    return f"{part['repository']}:{part['tag']}"


def inherited() -> K8sContainerContext:
    """What the code location hands on to runs and steps (`includeConfigInLaunchedRuns`), and the launcher's own."""
    given = location()
    launcher = values()["runLauncher"]["config"]["k8sRunLauncher"]
    handed_on = {
        "image_pull_policy": given["image"]["pullPolicy"],
        "env_vars": [f"{variable['name']}={variable['value']}" for variable in given["env"]],
        "env_secrets": [secret["name"] for secret in given["envSecrets"]],
        "volumes": given["volumes"],
        "volume_mounts": given["volumeMounts"],
        "security_context": given["securityContext"],
        "resources": given["resources"],
        "run_k8s_config": {
            "job_spec_config": launcher["runK8sConfig"]["jobSpecConfig"],
            "pod_spec_config": launcher["runK8sConfig"]["podSpecConfig"],
        },
    }
    return K8sContainerContext.create_from_config({"k8s": handed_on})


def job(context: K8sContainerContext, name: str) -> dict[str, Any]:
    config = DagsterK8sJobConfig(
        job_image=image(location()["image"]),
        dagster_home="/opt/dagster/dagster_home",
        postgres_password_secret=values()["global"]["postgresqlSecretName"],
    )
    arguments = ["dagster", "api", "execute_step"]
    made = construct_dagster_k8s_job(config, arguments, name, context.run_k8s_config, component=name)
    return ApiClient().sanitize_for_serialization(made)


def step_context(monkeypatch: pytest.MonkeyPatch) -> K8sContainerContext:
    from imgrelay_dagster.on_kubernetes import step_pod

    for variable in location()["env"]:
        monkeypatch.setenv(variable["name"], variable["value"])
    return inherited().merge(K8sContainerContext(run_k8s_config=UserDefinedDagsterK8sConfig.from_dict(step_pod())))


def test_a_runs_pod_is_valid_and_locked_down() -> None:
    made = job(inherited(), "run")
    check("Job", made)
    check_locked_down(made)
    assert made["spec"]["ttlSecondsAfterFinished"] == 600


def test_a_steps_pod_is_valid_has_its_own_resources_and_is_locked_down(monkeypatch: pytest.MonkeyPatch) -> None:
    made = job(step_context(monkeypatch), "step")
    check("Job", made)
    check_locked_down(made)
    (container,) = made["spec"]["template"]["spec"]["containers"]
    assert container["resources"] == {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "1Gi"}}
    assert {"name": "IMGRELAY_EXECUTOR", "value": "k8s"} in container["env"]
    assert {"name": "IMGRELAY_STAGING", "value": "s3://imgrelay-staging"} in container["env"]
    assert {"secretRef": {"name": "imgrelay-s3"}} in container["envFrom"]


def check_locked_down(made: dict[str, Any]) -> None:
    pod = made["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["image"] == "registry.example.com/imgrelay:0.1.0"
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert {mount["mountPath"] for mount in container["volumeMounts"]} >= {"/tmp", "/var/lib/imgrelay"}


@pytest.mark.parametrize("role", ["dagsterDaemon", "dagsterWebserver", "imgrelay"])
def test_what_the_chart_puts_into_its_pods_is_valid(role: str) -> None:
    given = location() if role == "imgrelay" else values()[role]
    container = {
        "name": "dagster",
        "image": image(given["image"]),
        "imagePullPolicy": given["image"]["pullPolicy"],
        "env": given["env"],
        "envFrom": [{"secretRef": secret} for secret in given.get("envSecrets", [])],
        "securityContext": given["securityContext"],
        "resources": given["resources"],
        "volumeMounts": given["volumeMounts"],
    }
    pod = {"securityContext": given["podSecurityContext"], "volumes": given["volumes"], "containers": [container]}
    check("Pod", {"metadata": {"name": "x"}, "spec": pod})
    assert given["securityContext"]["readOnlyRootFilesystem"] is True


def test_the_values_name_what_the_project_has_and_hold_no_secret() -> None:
    assert "postgresqlPassword" not in values()["postgresql"]
    assert not [variable for variable in location()["env"] if re.search("KEY|SECRET|PASSWORD", variable["name"])]
    assert location()["dagsterApiGrpcArgs"][:2] == ["--module-name", "imgrelay_dagster.definitions"]
    assert values()["postgresql"]["postgresqlScheme"] == "postgresql+psycopg2"
    assert {variable["name"]: variable["value"] for variable in location()["env"]}["IMGRELAY_EXECUTOR"] == "k8s"
