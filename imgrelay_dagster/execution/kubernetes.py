"""Steps in Kubernetes: one pod for each, by dagster-k8s. Set up by deploy/kubernetes/values.yaml."""

import os
from typing import Any

import dagster as dg
from dagster_k8s import k8s_job_executor

from imgrelay_dagster.config.run_config import checked_max_concurrent


def step_pod() -> dict[str, Any]:
    """What a step's pod is given beside the image, secrets and variables of its code location.

    A step keeps at most about one core busy and stays below half a gigabyte (docs/scaling.md).
    """
    cores = os.environ.get("IMGRELAY_STEP_CPU") or "1"
    memory = os.environ.get("IMGRELAY_STEP_MEMORY") or "1Gi"
    return {
        "container_config": {
            "resources": {
                "requests": {"cpu": cores, "memory": memory},
                "limits": {"memory": memory},
            }
        },
        # A step that is told to stop puts its receipts and leaves within seconds.
        "pod_spec_config": {"terminationGracePeriodSeconds": 30},
        "job_spec_config": {"ttlSecondsAfterFinished": 600},
    }


def _steps(config: dict[str, Any]) -> dict[str, Any]:
    return {
        "max_concurrent": checked_max_concurrent(config["max_concurrent"]),
        "step_k8s_config": step_pod(),
        "enable_owner_references": True,  # so that a run pod's steps go with it
    }


kubernetes_executor = k8s_job_executor.configured(
    _steps,
    config_schema={
        "max_concurrent": dg.Field(int, default_value=0, description="Pods at once; 0: $IMGRELAY_MAX_CONCURRENT.")
    },
    name="k8s",
)
