"""deploy/kubernetes/values.yaml: Dagster accepts the values, and the jobs and pods of runs are valid for Kubernetes.

tests/support/helm_chart.py renders the values as the chart does. tests/deploy/test_kubernetes_run.py executes runs.
"""

import re
from functools import cache
from typing import Any

import kubernetes_validate
import pytest
from dagster_k8s.container_context import K8sContainerContext
from dagster_k8s.job import DagsterK8sJobConfig, UserDefinedDagsterK8sConfig, construct_dagster_k8s_job
from kubernetes.client import ApiClient

from tests.support.helm_chart import HOME, chart_values, handed_on, image, instance, location
from tests.support.kubernetes_api import VERSION

values = cache(chart_values)


def check(kind: str, body: dict[str, Any]) -> None:
    api = {"Job": "batch/v1", "Pod": "v1"}[kind]
    kubernetes_validate.validate({"apiVersion": api, "kind": kind, **body}, VERSION, strict=True)


def inherited() -> K8sContainerContext:
    """Return the settings that runs and steps inherit from the launcher and the code location."""
    launcher = instance(values())["run_launcher"]["config"]
    own = {name: launcher[name] for name in ("security_context", "run_k8s_config")}
    return K8sContainerContext.create_from_config({"k8s": own}).merge(
        K8sContainerContext.create_from_config(handed_on(values()))
    )


def job(context: K8sContainerContext, name: str) -> dict[str, Any]:
    config = DagsterK8sJobConfig(
        job_image=image(location(values())),
        dagster_home=HOME,
        postgres_password_secret=values()["global"]["postgresqlSecretName"],
    )
    arguments = ["dagster", "api", "execute_step"]
    made = construct_dagster_k8s_job(config, arguments, name, context.run_k8s_config, component=name)
    return ApiClient().sanitize_for_serialization(made)


def step_context(monkeypatch: pytest.MonkeyPatch) -> K8sContainerContext:
    from imgrelay_dagster.execution.kubernetes import step_pod

    for variable in location(values())["env"]:
        monkeypatch.setenv(variable["name"], variable["value"])
    return inherited().merge(K8sContainerContext(run_k8s_config=UserDefinedDagsterK8sConfig.from_dict(step_pod())))


def test_a_runs_pod_is_valid_and_locked_down() -> None:
    made = job(inherited(), "run")
    check("Job", made)
    check_locked_down(made["spec"]["template"]["spec"])
    assert made["spec"]["ttlSecondsAfterFinished"] == 600


def test_a_steps_pod_is_valid_has_its_own_resources_and_is_locked_down(monkeypatch: pytest.MonkeyPatch) -> None:
    made = job(step_context(monkeypatch), "step")
    check("Job", made)
    check_locked_down(made["spec"]["template"]["spec"])
    (container,) = made["spec"]["template"]["spec"]["containers"]
    assert container["resources"] == {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "1Gi"}}
    assert {"name": "IMGRELAY_EXECUTOR", "value": "k8s"} in container["env"]
    assert {"name": "IMGRELAY_STAGING", "value": "s3://imgrelay-staging"} in container["env"]
    assert {"secretRef": {"name": "imgrelay-s3"}} in container["envFrom"]


def check_locked_down(pod: dict[str, Any]) -> None:
    (container,) = pod["containers"]
    assert container["image"] == "registry.example.com/imgrelay:0.1.0"
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert {mount["mountPath"] for mount in container["volumeMounts"]} >= {"/tmp", "/var/lib/imgrelay"}


@pytest.mark.parametrize("role", ["dagsterDaemon", "dagsterWebserver", "imgrelay"])
def test_the_pods_of_the_chart_are_valid(role: str) -> None:
    given = location(values()) if role == "imgrelay" else values()[role]
    container = {
        "name": "dagster",
        "image": image(given),
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


def test_the_values_refer_to_this_project_and_hold_no_secret() -> None:
    assert "postgresqlPassword" not in values()["postgresql"]
    assert not [
        variable for variable in location(values())["env"] if re.search("KEY|SECRET|PASSWORD", variable["name"])
    ]
    assert location(values())["dagsterApiGrpcArgs"][:2] == ["--module-name", "imgrelay_dagster.definitions"]
    assert values()["postgresql"]["postgresqlScheme"] == "postgresql+psycopg2"
    assert {variable["name"]: variable["value"] for variable in location(values())["env"]}["IMGRELAY_EXECUTOR"] == "k8s"


def test_the_webserver_listens_on_an_unprivileged_port_that_its_probe_uses() -> None:
    port = values()["dagsterWebserver"]["service"]["port"]
    assert port >= 1024
    assert values()["dagsterWebserver"]["readinessProbe"]["httpGet"]["port"] == port
