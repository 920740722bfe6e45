"""The relay graph: plan, then download, compose and upload mapped over tasks, then report.

It is defined twice, because Dagster attaches a config mapping differently: job `relay` passes it to `to_job`, so that
its form is at the root of the run config, and a graph-backed asset needs it on its graph.
"""

from typing import Any

import dagster as dg

from imgrelay_dagster.config.config_mapping import day_config_mapping
from imgrelay_dagster.ops.asset_checks import CHECK_OUTPUTS
from imgrelay_dagster.ops.plan import plan, plan_day
from imgrelay_dagster.ops.report import report, report_day
from imgrelay_dagster.ops.stages import compose, download, upload


def _upload_all(tasks: Any) -> Any:
    """Fan out over tasks. Only records pass between steps; the bytes of images are in staging."""
    return tasks.map(download).map(compose).map(upload).collect()


@dg.graph(description="Download images, lay a template over each, store the results.")
def relay_graph() -> Any:
    """The graph of job `relay`."""
    planned, tasks = plan()
    return report(planned, _upload_all(tasks))


@dg.graph(
    name="relayed_images",
    config=day_config_mapping,
    out={"result": dg.GraphOut(), **{name: dg.GraphOut() for name in CHECK_OUTPUTS}},
)
def day_graph(day_manifest: Any) -> Any:
    """The graph of asset `relayed_images`: the same steps, downstream of the day's manifest."""
    planned, tasks = plan_day.alias("plan")(day_manifest)
    reported = report_day.alias("report")(planned, _upload_all(tasks))
    return {"result": reported.result, **{name: getattr(reported, check) for name, check in CHECK_OUTPUTS.items()}}
