"""The relay graph and nothing else: plan, then download, compose and upload mapped over tasks, then report."""

import dagster as dg

from imgrelay_dagster.ops.plan import plan
from imgrelay_dagster.ops.report import report
from imgrelay_dagster.ops.stages import compose, download, upload


@dg.graph(description="Download images, lay a template over each, store the results.")
def relay_graph() -> None:
    """Fan out over tasks; an image's bytes never pass between steps, only records do."""
    planned, tasks = plan()
    uploaded = tasks.map(download).map(compose).map(upload)
    report(planned, uploaded.collect())
