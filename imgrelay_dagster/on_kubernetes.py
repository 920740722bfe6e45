"""Steps in Kubernetes: one pod for each, by dagster-k8s."""

from typing import Any

import dagster as dg
from dagster_k8s import k8s_job_executor

from imgrelay_dagster.config import default_max_concurrent


def _steps(config: dict[str, Any]) -> dict[str, Any]:
    """Image, secrets and environment are the run launcher's; see deploy/kubernetes/values.yaml."""
    return {"max_concurrent": config["max_concurrent"] or default_max_concurrent()}


kubernetes_executor = k8s_job_executor.configured(
    _steps,
    config_schema={
        "max_concurrent": dg.Field(int, default_value=0, description="Pods at once; 0: $IMGRELAY_MAX_CONCURRENT.")
    },
    name="k8s",
)
