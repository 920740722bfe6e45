"""The Kubernetes executor: dagster-k8s runs each step in a pod. See deploy/kubernetes/values.yaml."""

from typing import Any, cast

import dagster as dg
from dagster_k8s import k8s_job_executor

from imgrelay_dagster.config import environment
from imgrelay_dagster.config.defaults import checked_max_concurrent
from imgrelay_dagster.execution.download_limit import download_limit
from imgrelay_dagster.execution.whole_run import AllStepsExecutor


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


@dg.executor(
    name="k8s",
    config_schema=cast(Any, k8s_job_executor.config_schema),
    requirements=dg.multiple_process_executor_requirements(),
)
def _all_steps_executor(context: dg.InitExecutorContext) -> AllStepsExecutor:
    create = k8s_job_executor.executor_creation_fn
    assert create is not None
    return AllStepsExecutor(create(context))


kubernetes_executor = _all_steps_executor.configured(
    _executor_config,
    config_schema={
        "max_concurrent": dg.Field(
            int, default_value=0, description="Pods at the same time; 0: $IMGRELAY_MAX_CONCURRENT."
        )
    },
    name="k8s",
)
