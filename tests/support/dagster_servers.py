"""A Dagster instance under `imgrelay dev`: webserver, daemon and code server, as users start them.

    with DagsterServers(folder) as served:
        run_id = served.launch({"manifest": "birds.txt"})
        served.terminate(run_id)

Runs are launched and terminated through GraphQL, as the UI does it.
"""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import dagster as dg
import psutil
from dagster_aws.s3 import S3Resource

from imgrelay_dagster.demo.ports import free_ports
from imgrelay_dagster.monitoring.failure_reason import failure_reason
from imgrelay_dagster.relay.outcomes import Record
from imgrelay_dagster.relay.records.receipts import record_json
from imgrelay_dagster.resources import StoresResource
from tests.conftest import ROOT, command_environment
from tests.support import warm_start
from tests.support.command import until
from tests.support.processes import with_environment

WARM_CODE_SERVER = Path(__file__).with_name("warm_code_server")
"""Its folder in PYTHONPATH lets a code server fork runs from a process that has Dagster imported."""

READY_LIMIT = 120.0
"""Seconds until the UI answers, on a machine that is busy with other things."""

STOP_LIMIT = 60.0
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
_LOCATIONS = """
{ repositoriesOrError { ... on RepositoryConnection { nodes { jobs { name } } } } }
"""


class DagsterServers:
    """A folder with a Dagster instance, manifests and a destination, and the servers of that instance.

    Leaving the block stops the servers as Ctrl-C does. It kills processes that are left, and fails if there were any.
    """

    warm = True
    """Whether runs are forked from a warm process; servers are always started as usual."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.home, self.out, self.manifests = folder / "home", folder / "out", folder / "manifests"
        for path in (self.home, self.out, self.manifests):
            path.mkdir(parents=True, exist_ok=True)
        (self.home / "dagster.yaml").write_bytes((ROOT / "dagster.yaml").read_bytes())
        self.log = folder / "servers.log"
        self._folder = folder
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self._servers: set[int] = set()
        self._port = 0
        self._instance: dg.DagsterInstance | None = None

    @property
    def environment(self) -> dict[str, str]:
        """The environment that servers and commands share."""
        folders = {"IMGRELAY_DESTINATION": str(self.out), "IMGRELAY_MANIFESTS": str(self.manifests)}
        own = {"DAGSTER_DISABLE_TELEMETRY": "yes", "PYTHONPATH": os.pathsep.join(self._code_folders())}
        return command_environment(self.home, **{**own, **folders, **self._environment})

    def _code_folders(self) -> list[str]:
        """`PYTHONPATH`: what lets runs be forked from a warm process, then what was set before."""
        before = os.environ.get("PYTHONPATH")
        warm = self.warm and warm_start.COLD not in os.environ
        return [*([str(WARM_CODE_SERVER)] if warm else []), *([before] if before else [])]

    @property
    def url(self) -> str:
        """Where its UI is."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start `imgrelay dev` in a session of its own and wait until it knows job `relay`."""
        (self._port,) = free_ports(1)
        dev = [sys.executable, "-m", "imgrelay_dagster.cli", "dev"]
        with self.log.open("ab") as log:
            self._process = warm_start.popen(
                [*dev, "--port", str(self._port)],
                cold=True,
                death_signal=signal.SIGTERM,
                cwd=self._folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        until(self._ready, READY_LIMIT, f"the UI answers; {self.log} says why not")
        self._servers = {pid for pid in self.processes() if " -m dagster" in _describe(pid)}

    def _ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log.read_text()[-3000:]
        with suppress(OSError, KeyError, TypeError):
            nodes = self.ask(_LOCATIONS)["repositoriesOrError"]["nodes"]
            return "relay" in [job["name"] for node in nodes for job in node["jobs"]]
        return False

    def stop(self) -> list[str]:
        """Stop the servers as Ctrl-C does; returns the processes that were left, which are ended too."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_LIMIT)
        end = time.monotonic() + STOP_LIMIT
        while (left := self.processes()) and time.monotonic() < end:
            time.sleep(0.1)
        described = [_describe(pid) for pid in left]
        self.kill(*left)
        return described

    def restart(self, **environment: str) -> None:
        """Stop the servers and start them again with a changed environment."""
        left = self.stop()
        assert not left, left
        self._environment |= environment
        self.start()

    def lose_the_machine(self) -> None:
        """Kill every process of this instance at once: servers, runs and steps."""
        self.kill(*self.processes())
        until(lambda: not self.processes(), 20, "every process has ended")

    def kill(self, *pids: int) -> None:
        """`kill -9`."""
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if self._process is not None and self._process.pid in pids:
            self._process.wait(10)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        left = self.stop()
        if self._instance is not None:
            self._instance.dispose()
        assert kind or not left, left

    # Processes

    def processes(self) -> list[int]:
        """The running processes of this instance, servers and runs: all have its `DAGSTER_HOME`."""
        return [pid for pid in with_environment("DAGSTER_HOME", str(self.home)) if _lives(pid)]

    def run_processes(self) -> list[int]:
        """The processes of runs: a run's own, the one its steps are forked from, the steps."""
        return [pid for pid in self.processes() if pid not in self._servers and not self._is_helper(pid)]

    def _is_helper(self, pid: int) -> bool:
        """Whether this is a helper that the code server has from its first run on: resource tracker or warm server."""
        with suppress(psutil.NoSuchProcess):
            named = _describe(pid)
            return psutil.Process(pid).ppid() in self._servers and (
                "resource_tracker" in named or "warm_server.py" in named
            )
        return True

    def server(self, part: str) -> int:
        """The process of a server, by a part of its command line."""
        (pid,) = (pid for pid in self._servers if _lives(pid) and part in _describe(pid))
        return pid

    def run_process(self, run_id: str) -> int:
        """The run's own process."""
        told = "Started process for run (pid: "
        messages = until(
            lambda: [message for message in self.messages(run_id) if message.startswith(told)], 120, "the run starts"
        )
        return int(messages[0].removeprefix(told).rstrip(")."))

    def step_processes(self, run_id: str) -> list[int]:
        """The processes that work on steps of a run: children of the one that they are forked from."""
        with suppress(psutil.NoSuchProcess):
            return [
                step.pid
                for child in psutil.Process(self.run_process(run_id)).children()
                if "forkserver" in _describe(child.pid)
                for step in child.children()
            ]
        return []

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

    def terminate_to_the_end(self, run_id: str) -> tuple[float, float] | None:
        """Terminate a run and wait until nothing is left of it.

        Returns the seconds from the click until it counts as canceled and until its last process is gone, or None
        if it came to its own end first.
        """
        clicked = time.monotonic()
        while not self.terminate(run_id):
            if self.status(run_id) in OVER:
                return None
            time.sleep(0.2)
            clicked = time.monotonic()
        ended = self.wait_for(run_id, *OVER, limit=90)
        canceled = time.monotonic() - clicked
        until(lambda: not self.run_processes(), 60, "the run's last process is gone")
        gone = time.monotonic() - clicked
        return (canceled, gone) if ended == "CANCELED" else None

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


def connections(port: int) -> int:
    """Open connections to a port of this host, the server's own ends left out."""
    return sum(
        bool(found.raddr) and found.raddr.port == port and found.status == psutil.CONN_ESTABLISHED
        for found in psutil.net_connections("tcp4")
    )


def seconds_until(condition: Callable[[], Any], limit: float, what: str) -> float:
    """How long something takes to become true."""
    began = time.monotonic()
    until(condition, limit, what)
    return time.monotonic() - began


def _tags(run: dict[str, Any]) -> dict[str, str]:
    return {tag["key"]: tag["value"] for tag in run["tags"]}


def _lives(pid: int) -> bool:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def _describe(pid: int) -> str:
    with suppress(psutil.NoSuchProcess):
        return f"{pid}: {' '.join(psutil.Process(pid).cmdline())[:300]}"
    return f"{pid}: gone"
