"""The relay graph and nothing else: plan, then download, compose and upload mapped over tasks, then report.

Twice, because a config mapping belongs to a graph: job `relay` has its form at the root of its run config, and a
graph-backed asset needs one on its graph.
"""

from typing import Any

import dagster as dg

from imgrelay_dagster.config.config_mapping import day_config_mapping
from imgrelay_dagster.ops.asset_checks import CHECK_OUTPUTS
from imgrelay_dagster.ops.plan import plan
from imgrelay_dagster.ops.report import report
from imgrelay_dagster.ops.stages import compose, download, upload


def _relay(planned: Any, tasks: Any) -> Any:
    """Fan out over tasks; an image's bytes never pass between steps, only records do."""
    uploaded = tasks.map(download).map(compose).map(upload)
    return report(planned, uploaded.collect())


@dg.graph(description="Download images, lay a template over each, store the results.")
def relay_graph() -> Any:
    """What job `relay` is made of."""
    return _relay(*plan()).result


@dg.graph(
    name="relayed_images",
    config=day_config_mapping,
    out={"result": dg.GraphOut(), **{name: dg.GraphOut() for name in CHECK_OUTPUTS}},
)
def day_graph(day_manifest: Any) -> Any:
    """What asset `relayed_images` is made of: the same, once the day's manifest is there."""
    reported = _relay(*plan(day_manifest))
    return {"result": reported.result, **{name: getattr(reported, check) for name, check in CHECK_OUTPUTS.items()}}
