"""What people click in the Dagster UI, asked for as the UI asks for it: through GraphQL."""

from collections.abc import Sequence
from typing import Any

from tests.support.command import until
from tests.support.dagster_servers import DagsterServers

REPOSITORY = {"repositoryLocationName": "imgrelay", "repositoryName": "__repository__"}

_START_SENSOR = """
mutation Start($selector: SensorSelector!) {
  startSensor(sensorSelector: $selector) { __typename ... on PythonError { message } }
}
"""
_START_SCHEDULE = """
mutation Start($selector: ScheduleSelector!) {
  startSchedule(scheduleSelector: $selector) { __typename ... on PythonError { message } }
}
"""
_TICK = "status skipReason runIds timestamp error { message }"
_SENSOR_TICKS = f"""
query Ticks($selector: SensorSelector!) {{
  sensorOrError(sensorSelector: $selector) {{
    __typename ... on Sensor {{ sensorState {{ id ticks(limit: 50) {{ {_TICK} }} }} }}
  }}
}}
"""
_SCHEDULE_TICKS = f"""
query Ticks($selector: ScheduleSelector!) {{
  scheduleOrError(scheduleSelector: $selector) {{
    __typename ... on Schedule {{ scheduleState {{ id ticks(limit: 50) {{ {_TICK} }} }} }}
  }}
}}
"""
_STOP_SENSOR = "mutation Stop($id: String!) { stopSensor(id: $id) { __typename ... on PythonError { message } } }"
_STOP_SCHEDULE = """
mutation Stop($id: String!) { stopRunningSchedule(id: $id) { __typename ... on PythonError { message } } }
"""
_BACKFILL = """
mutation Backfill($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
    ... on RunConfigValidationInvalid { errors { message } }
  }
}
"""
_BACKFILL_STATUS = """
query Backfill($id: String!) { partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill { status } } }
"""
_LAUNCH_ASSET = """
mutation Launch($params: ExecutionParams!) {
  launchPipelineExecution(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
    ... on RunConfigValidationInvalid { errors { message } }
  }
}
"""
_LOG = """
query Log($run: ID!, $after: String) {
  logsForRun(runId: $run, afterCursor: $after) {
    ... on EventConnection { cursor hasMore events { __typename ... on MessageEvent { message } } }
  }
}
"""
_RUNS = """
query Runs($filter: RunsFilter!) {
  runsOrError(filter: $filter) { ... on Runs { results { runId status tags { key value } } } }
}
"""


def start_sensor(served: DagsterServers, name: str) -> None:
    """Turn a sensor on."""
    answer = served.ask(_START_SENSOR, selector={**REPOSITORY, "sensorName": name})["startSensor"]
    assert answer["__typename"] == "Sensor", answer


def start_schedule(served: DagsterServers, name: str) -> None:
    """Turn a schedule on."""
    answer = served.ask(_START_SCHEDULE, selector={**REPOSITORY, "scheduleName": name})["startSchedule"]
    assert answer["__typename"] == "ScheduleStateResult", answer


def stop_sensor(served: DagsterServers, name: str) -> None:
    """Turn a sensor off."""
    state = served.ask(_SENSOR_TICKS, selector={**REPOSITORY, "sensorName": name})["sensorOrError"]["sensorState"]
    answer = served.ask(_STOP_SENSOR, id=state["id"])["stopSensor"]
    assert answer["__typename"] != "PythonError", answer


def stop_schedule(served: DagsterServers, name: str) -> None:
    """Turn a schedule off."""
    state = served.ask(_SCHEDULE_TICKS, selector={**REPOSITORY, "scheduleName": name})["scheduleOrError"]
    answer = served.ask(_STOP_SCHEDULE, id=state["scheduleState"]["id"])["stopRunningSchedule"]
    assert answer["__typename"] != "PythonError", answer


def sensor_ticks(served: DagsterServers, name: str) -> list[dict[str, Any]]:
    """A sensor's ticks, the latest first."""
    found = served.ask(_SENSOR_TICKS, selector={**REPOSITORY, "sensorName": name})["sensorOrError"]
    return found["sensorState"]["ticks"]


def schedule_ticks(served: DagsterServers, name: str) -> list[dict[str, Any]]:
    """A schedule's ticks, the latest first."""
    found = served.ask(_SCHEDULE_TICKS, selector={**REPOSITORY, "scheduleName": name})["scheduleOrError"]
    return found["scheduleState"]["ticks"]


def backfill(served: DagsterServers, days: list[str], asset: str = "relayed_images") -> str:
    """Ask for a backfill of these days; returns its id."""
    params = {"assetSelection": [{"path": [asset]}], "partitionNames": days, "fromFailure": False}
    answer = served.ask(_BACKFILL, params=params)["launchPartitionBackfill"]
    assert answer["__typename"] == "LaunchBackfillSuccess", answer
    return answer["backfillId"]


def wait_for_backfill(served: DagsterServers, backfill_id: str, limit: float = 240) -> str:
    """Wait until a backfill has ended; returns how."""

    def ended() -> str | None:
        status = served.ask(_BACKFILL_STATUS, id=backfill_id)["partitionBackfillOrError"]["status"]
        return None if status in ("REQUESTED", "CANCELING", "FAILING") else status

    return until(ended, limit, f"backfill {backfill_id} ends")


def materialize(
    served: DagsterServers, day: str, config: dict[str, Any] | None = None, assets: Sequence[str] = ("relayed_images",)
) -> str:
    """Launch one day of daily assets as the Materialize button does; returns the run's id."""
    selection = [{"path": [asset]} for asset in assets]
    selector = {**REPOSITORY, "pipelineName": "__ASSET_JOB", "assetSelection": selection}
    tags = [{"key": "dagster/partition", "value": day}]
    params = {
        "selector": selector,
        "mode": "default",
        "runConfigData": {"ops": {asset: {"config": config} for asset in assets}} if config else {},
        "executionMetadata": {"tags": tags},
    }
    answer = served.ask(_LAUNCH_ASSET, params=params)["launchPipelineExecution"]
    assert answer["__typename"] == "LaunchRunSuccess", answer
    return answer["run"]["runId"]


def run_log(served: DagsterServers, run_id: str) -> list[tuple[str, str]]:
    """The type and the message of each event of a run, as GraphQL has them now."""
    found: list[tuple[str, str]] = []
    after: str | None = None
    while True:
        part = served.ask(_LOG, run=run_id, after=after)["logsForRun"]
        found += [(event["__typename"], event.get("message", "")) for event in part["events"]]
        after = part["cursor"]
        if not part["hasMore"]:
            return found


def runs_tagged(served: DagsterServers, **tags: str) -> dict[str, dict[str, str]]:
    """The runs that carry these tags (`__` stands for a slash), the latest first: their own tags by run id."""
    wanted = [{"key": name.replace("__", "/"), "value": value} for name, value in tags.items()]
    found = served.ask(_RUNS, filter={"tags": wanted})["runsOrError"]["results"]
    return {run["runId"]: {tag["key"]: tag["value"] for tag in run["tags"]} for run in found}


_REEXECUTION = """
mutation Reexecute($parameters: ReexecutionParams, $execution: ExecutionParams) {
  launchPipelineReexecution(reexecutionParams: $parameters, executionParams: $execution) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
    ... on InvalidStepError { invalidStepKey }
    ... on RunConfigValidationInvalid { errors { message } }
  }
}
"""


def reexecute(served: DagsterServers, run_id: str, strategy: str) -> str:
    """Re-execute a run by one of the entries of its menu, such as FROM_FAILURE; returns the new run's id."""
    answer = served.ask(_REEXECUTION, parameters={"parentRunId": run_id, "strategy": strategy})
    launched = answer["launchPipelineReexecution"]
    assert launched["__typename"] == "LaunchRunSuccess", launched
    return launched["run"]["runId"]


def reexecute_steps(served: DagsterServers, run_id: str, steps: list[str]) -> str:
    """Re-execute the selected steps of a run of job `relay`, as "From selected" does; returns the new run's id."""
    run = served.dagster.get_run_by_id(run_id)
    assert run is not None
    execution = {
        "selector": {**REPOSITORY, "pipelineName": run.job_name},
        "mode": "default",
        "runConfigData": dict(run.run_config),
        "stepKeys": steps,
        "executionMetadata": {
            "parentRunId": run_id,
            "rootRunId": run.root_run_id or run_id,
            "tags": [
                {"key": "dagster/is_resume_retry", "value": "false"},
                {"key": "dagster/step_selection", "value": ",".join(steps)},
            ],
        },
    }
    launched = served.ask(_REEXECUTION, execution=execution)["launchPipelineReexecution"]
    assert launched["__typename"] == "LaunchRunSuccess", launched
    return launched["run"]["runId"]
