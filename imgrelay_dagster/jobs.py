"""The job that people launch."""

from imgrelay_dagster.config import relay_config_mapping
from imgrelay_dagster.executors import relay_executor
from imgrelay_dagster.graph import relay_graph

relay = relay_graph.to_job(
    name="relay",
    description=(
        "Relay a list of images: download each, lay the template over it, store the result. "
        "Give the list in the Launchpad as manifest, url_lines or urls. Launching it again does only what is left."
    ),
    config=relay_config_mapping,
    executor_def=relay_executor,
    tags={
        # Re-execution "from failure" drops tasks of an interrupted dynamic run (dagster issues 30248, 30972);
        # all steps again is cheap, because receipts say what is done.
        "dagster/retry_strategy": "ALL_STEPS",
    },
)
