"""The parts of what Dagster's Helm chart renders from deploy/kubernetes/values.yaml that only copy its values.

tests/deploy/test_kubernetes_chart.py compares them with what Helm renders, where Helm and the chart are installed.
"""

import json
from typing import Any

import yaml

from tests.support.compose_deployment import DEPLOY

RELEASE, NAMESPACE = "imgrelay", "images"
HOME = "/opt/dagster/dagster_home"
"""The chart's own `DAGSTER_HOME`."""


def chart_values() -> dict[str, Any]:
    """The values as they stand, read anew, for a test to change."""
    return yaml.safe_load((DEPLOY / "kubernetes" / "values.yaml").read_text())


def location(values: dict[str, Any]) -> dict[str, Any]:
    """The only code location."""
    (only,) = values["dagster-user-deployments"]["deployments"]
    return only


def image(part: dict[str, Any]) -> str:
    """The image of a location, the daemon or the webserver."""
    return f"{part['image']['repository']}:{part['image']['tag']}"


def instance(values: dict[str, Any]) -> dict[str, Any]:
    """The `dagster.yaml` of every pod, without what the chart adds by itself."""
    queue = values["dagsterDaemon"]["runCoordinator"]["config"]["queuedRunCoordinator"]
    monitoring, retries = (values["dagsterDaemon"][name] for name in ("runMonitoring", "runRetries"))
    return {
        "run_launcher": {"module": "dagster_k8s", "class": "K8sRunLauncher", "config": _launcher(values)},
        "run_coordinator": {
            "module": "dagster.core.run_coordinator",
            "class": "QueuedRunCoordinator",
            "config": {
                "max_concurrent_runs": queue["maxConcurrentRuns"],
                "tag_concurrency_limits": queue["tagConcurrencyLimits"],
            },
        },
        **{f"{name}_storage": _on_postgres(name, values["postgresql"]) for name in ("schedule", "run", "event_log")},
        "compute_logs": {
            "module": "dagster.core.storage.noop_compute_log_manager",
            "class": values["computeLogManager"]["type"],
        },
        "run_monitoring": {
            "enabled": monitoring["enabled"],
            "start_timeout_seconds": monitoring["startTimeoutSeconds"],
            "cancel_timeout_seconds": monitoring["cancelTimeoutSeconds"],
            "max_resume_run_attempts": monitoring["maxResumeRunAttempts"],
            "poll_interval_seconds": monitoring["pollIntervalSeconds"],
        },
        "run_retries": {
            "enabled": retries["enabled"],
            "max_retries": retries["maxRetries"],
            "retry_on_asset_or_op_failure": retries["retryOnAssetOrOpFailure"],
        },
        "retention": {
            name: {"purge_after_days": values["retention"][name]["purgeAfterDays"]} for name in ("schedule", "sensor")
        },
        "telemetry": values["telemetry"],
        **values["additionalInstanceConfig"],
    }


def _launcher(values: dict[str, Any]) -> dict[str, Any]:
    given = values["runLauncher"]["config"]["k8sRunLauncher"]
    file = {"kubeconfig_file": given["kubeconfigFile"]} if "kubeconfigFile" in given else {}
    return {
        "load_incluster_config": given["loadInclusterConfig"],
        **file,
        "job_namespace": NAMESPACE,
        "image_pull_policy": given["imagePullPolicy"],
        "service_account_name": f"{RELEASE}-dagster",
        "dagster_home": HOME,
        "instance_config_map": f"{RELEASE}-dagster-instance",
        "postgres_password_secret": values["global"]["postgresqlSecretName"],
        "security_context": given["securityContext"],
        "run_k8s_config": {
            "pod_spec_config": given["runK8sConfig"]["podSpecConfig"],
            "job_spec_config": given["runK8sConfig"]["jobSpecConfig"],
        },
    }


def _on_postgres(name: str, given: dict[str, Any]) -> dict[str, Any]:
    module = "event_log" if name == "event_log" else f"{name}_storage"
    return {
        "module": f"dagster_postgres.{module}",
        "class": f"Postgres{name.title().replace('_', '')}Storage",
        "config": {
            "postgres_db": {
                "username": given["postgresqlUsername"],
                "password": {"env": "DAGSTER_PG_PASSWORD"},
                "hostname": given["postgresqlHost"],
                "db_name": given["postgresqlDatabase"],
                "port": given["service"]["port"],
                "params": {},
                "scheme": given["postgresqlScheme"],
            }
        },
    }


def handed_on(values: dict[str, Any]) -> dict[str, Any]:
    """What the code location tells Dagster that runs and steps are to have, as it has it itself.

    The chart of 1.13 may add `podSecurityContext`, which the launcher gives as well.
    """
    given = location(values)
    return {
        "k8s": {
            "image_pull_policy": given["image"]["pullPolicy"],
            "env_config_maps": [f"{RELEASE}-dagster-user-deployments-{given['name']}-user-env"],
            "env_secrets": [secret["name"] for secret in given["envSecrets"]],
            "volume_mounts": given["volumeMounts"],
            "volumes": given["volumes"],
            "resources": given["resources"],
            "namespace": NAMESPACE,
            "service_account_name": f"{RELEASE}-dagster-user-deployments-user-deployments",
            "env": given["env"],
            "run_k8s_config": {"pod_spec_config": {"automount_service_account_token": True}},
        }
    }


def location_environment(values: dict[str, Any]) -> dict[str, str]:
    """The variables of the code location's container, secrets left out."""
    given = location(values)
    own = {variable["name"]: variable["value"] for variable in given["env"]}
    return {
        **own,
        "DAGSTER_CURRENT_IMAGE": image(given),
        "DAGSTER_CLI_API_GRPC_CONTAINER_CONTEXT": json.dumps(handed_on(values)),
    }
