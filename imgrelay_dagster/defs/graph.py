"""The relay graph: plan, then download, compose and upload mapped over tasks, then report.

It is defined twice, because Dagster attaches a config mapping differently: job `relay` passes it to `to_job`, so that
its form is at the root of the run config, and a graph-backed asset needs it on its graph.
"""

from typing import Any

import dagster as dg

from imgrelay_dagster.config.config_mapping import day_config_mapping
from imgrelay_dagster.ops.asset_checks import check_outputs
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


def day_graph(name: str) -> dg.GraphDefinition:
    """The graph of the daily asset of this name: the same steps, downstream of the period's manifest."""
    checks = check_outputs(name)

    @dg.graph(
        name=name,
        config=day_config_mapping,
        out={"result": dg.GraphOut(), **{output: dg.GraphOut() for output in checks}},
    )
    def graph(day_manifest: Any) -> Any:
        planned, tasks = plan_day.alias("plan")(day_manifest)
        reported = report_day.alias("report")(planned, _upload_all(tasks))
        return {"result": reported.result, **{output: getattr(reported, check) for output, check in checks.items()}}

    return graph
