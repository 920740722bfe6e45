"""The Kubernetes executor: dagster-k8s runs each step in a pod. See deploy/kubernetes/values.yaml."""

from typing import Any

import dagster as dg
from dagster_k8s import k8s_job_executor

from imgrelay_dagster.config import environment
from imgrelay_dagster.config.defaults import checked_max_concurrent
from imgrelay_dagster.execution.download_limit import download_limit


def step_pod() -> dict[str, Any]:
    """Return the k8s config of a step's pod: resources, grace period and time to live.

    Image, secrets and environment variables come from the code location. A step uses at most about one core and less
    than 0.5 GB of memory (docs/scaling.md).
    """
    cores = environment.STEP_CPU.get()
    memory = environment.STEP_MEMORY.get()
    return {
        "container_config": {
            "resources": {
                "requests": {"cpu": cores, "memory": memory},
                "limits": {"memory": memory},
            }
        },
        # After SIGTERM a step writes its receipts and ends within seconds.
        "pod_spec_config": {"terminationGracePeriodSeconds": 30},
        "job_spec_config": {"ttlSecondsAfterFinished": 600},
    }


def _executor_config(config: dict[str, Any]) -> dict[str, Any]:
    max_concurrent = checked_max_concurrent(config["max_concurrent"])
    return {
        "max_concurrent": max_concurrent,
        "tag_concurrency_limits": download_limit(max_concurrent),
        "step_k8s_config": step_pod(),
        "enable_owner_references": True,  # so that Kubernetes deletes a run's steps together with its pod
    }


kubernetes_executor = k8s_job_executor.configured(
    _executor_config,
    config_schema={
        "max_concurrent": dg.Field(
            int, default_value=0, description="Pods at the same time; 0: $IMGRELAY_MAX_CONCURRENT."
        )
    },
    name="k8s",
)
