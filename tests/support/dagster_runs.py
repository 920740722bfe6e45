"""The runs of a Dagster instance: launched and terminated through GraphQL, as the UI does it, and what they stored."""

import json
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_aws.s3 import S3Resource

from imgrelay_dagster.monitoring.failure_reason import failure_reason
from imgrelay_dagster.relay.outcomes import Record
from imgrelay_dagster.relay.records.receipts import record_json
from imgrelay_dagster.resources import StoresResource
from tests.support.command import until

READY_LIMIT = 120.0
"""Seconds until the UI answers, on a machine that is busy with other things."""


OVER = ("SUCCESS", "FAILURE", "CANCELED")
_LAUNCH = """
mutation Launch($config: RunConfigData!) {
  launchRun(executionParams: {
    selector: {repositoryLocationName: "imgrelay", repositoryName: "__repository__", jobName: "relay"}
    runConfigData: $config
  }) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
    ... on RunConfigValidationInvalid { errors { message } }
  }
}
"""
_TERMINATE = """
mutation Terminate($run: String!) {
  terminateRun(runId: $run, terminatePolicy: SAFE_TERMINATE) {
    __typename
    ... on TerminateRunFailure { message }
    ... on PythonError { message }
  }
}
"""
_RUN = "query Run($run: ID!) { runOrError(runId: $run) { ... on Run { status tags { key value } } } }"
_RUNS = "{ runsOrError { ... on Runs { results { runId status rootRunId tags { key value } } } } }"


class DagsterRuns:
    """A folder with a Dagster instance, manifests and a destination, and the runs of that instance."""

    def __init__(self, folder: Path) -> None:
        self.home, self.out, self.manifests = folder / "home", folder / "out", folder / "manifests"
        for path in (self.home, self.out, self.manifests):
            path.mkdir(parents=True, exist_ok=True)
        self._port = 0
        self._instance: dg.DagsterInstance | None = None

    @property
    def url(self) -> str:
        """Where its UI is."""
        return f"http://127.0.0.1:{self._port}"

    # What the UI shows and does

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """A GraphQL query or mutation."""
        request = urllib.request.Request(
            f"{self.url}/graphql",
            json.dumps({"query": query, "variables": variables}).encode(),
            {"Content-Type": "application/json"},
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=60) as answer:
            found = json.loads(answer.read())
        assert "errors" not in found, found["errors"]
        return found["data"]

    def launch(self, form: dict[str, Any]) -> str:
        """Launch job `relay` with this form; returns the run's id.

        The webserver does not know the job until it has loaded the code location, again after the code server restarts.
        """

        def known() -> dict[str, Any] | None:
            launched = self.ask(_LAUNCH, config=form)["launchRun"]
            return None if launched["__typename"] == "PipelineNotFoundError" else launched

        launched = until(known, READY_LIMIT, "the webserver knows job relay")
        assert launched["__typename"] == "LaunchRunSuccess", launched
        return str(launched["run"]["runId"])

    def terminate(self, run_id: str) -> bool:
        """Terminate a run as the UI's button does; False when Dagster refuses, as it does of a run that is starting."""
        answer = self.ask(_TERMINATE, run=run_id)["terminateRun"]
        assert answer["__typename"] in ("TerminateRunSuccess", "TerminateRunFailure"), answer
        return answer["__typename"] == "TerminateRunSuccess"

    def status(self, run_id: str) -> str:
        return self.ask(_RUN, run=run_id)["runOrError"]["status"]

    def tags(self, run_id: str) -> dict[str, str]:
        return _tags(self.ask(_RUN, run=run_id)["runOrError"])

    def retries(self, run_id: str) -> list[str]:
        """The runs that were started in place of this one, the first one first."""
        runs = self.ask(_RUNS)["runsOrError"]["results"]
        return [run["runId"] for run in reversed(runs) if run["rootRunId"] == run_id and run["runId"] != run_id]

    def wait_for(self, run_id: str, *statuses: str, limit: float = 180) -> str:
        """Wait until the run is in one of these states (ended, if none is given); returns the one it is in."""
        wanted = statuses or OVER

        def reached() -> str | None:
            run = self.dagster.get_run_by_id(run_id)  # a question to the webserver costs it ten times as much
            return run.status.value if run is not None and run.status.value in wanted else None

        found = until(reached, limit, f"run {run_id} is {' or '.join(wanted)}; it is {self.status(run_id)}")
        assert found not in OVER or self.status(run_id) == found
        return found

    def wait_for_steps(self, run_id: str, op: str, limit: float = 180) -> None:
        """Wait until a step of this op has begun."""

        def begun() -> int:
            steps = self.steps(run_id)[op]
            assert steps or self.status(run_id) not in OVER, f"the run ended before {op}: {self.why(run_id)}"
            return steps

        until(begun, limit, f"a step of {op} begins")

    def failure(self, run_id: str) -> str:
        """The sentence of the step that failed first."""
        return failure_reason(self.dagster, run_id)

    def why(self, run_id: str) -> str:
        """The end of the run's log."""
        return "; ".join(self.messages(run_id)[-8:])

    def steps(self, run_id: str, kind: dg.DagsterEventType = dg.DagsterEventType.STEP_START) -> Counter[str]:
        """How many steps of each op have begun, or have come as far as `kind`."""
        events = self.dagster.all_logs(run_id, of_type=kind)
        return Counter((event.step_key or "").partition("[")[0] for event in events)

    def messages(self, run_id: str) -> list[str]:
        """The messages of the run's event log."""
        return [event.message for event in self.dagster.all_logs(run_id)]

    @property
    def dagster(self) -> dg.DagsterInstance:
        """The instance, beside its servers."""
        if self._instance is None:
            self._instance = dg.DagsterInstance.from_config(str(self.home))
        return self._instance

    @property
    def stores(self) -> StoresResource:
        """The stores that its runs use."""
        return StoresResource(s3=S3Resource(), staging_address=str(self.home / "staging"))

    # What is stored

    def write_manifest(self, name: str, urls: list[str]) -> str:
        """A manifest in the folder that runs may read."""
        (self.manifests / name).write_text("".join(f"{url}\n" for url in urls))
        return name

    def results_folder(self, run_id: str) -> Path:
        """Where the run's results are, or would be."""
        found = [*self.out.glob(f"_relay/*/runs/{run_id}")]
        return found[0] if found else self.out / "none"

    def summary(self, run_id: str) -> dict[str, Any]:
        return json.loads((self.results_folder(run_id) / "summary.json").read_text())

    def results(self, run_id: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.results_folder(run_id) / "results.jsonl").read_text().splitlines()]

    def receipts(self, dataset: str) -> Iterator[Record]:
        """Every receipt of a dataset."""
        for path in self.out.glob(f"_relay/{dataset}/receipts/*/*.jsonl"):
            yield from map(record_json.validate_json, path.read_bytes().splitlines())

    def images(self) -> dict[str, Path]:
        """The composed images by key."""
        found = {str(path.relative_to(self.out)): path for path in self.out.rglob("*") if path.is_file()}
        return {key: path for key, path in found.items() if not key.startswith("_relay/")}

    def staged(self, run_id: str | None = None) -> list[Path]:
        """The scratch files of a run, or of all runs."""
        return [path for path in (self.home / "staging" / (run_id or "")).rglob("*") if path.is_file()]


def _tags(run: dict[str, Any]) -> dict[str, str]:
    return {tag["key"]: tag["value"] for tag in run["tags"]}
