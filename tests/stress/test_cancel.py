"""Twenty runs of 10,000 entries on one served instance, each terminated from the UI at another moment."""

import random
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from imgrelay_dagster.demo.origin import Origin
from imgrelay_dagster.monitoring import housekeeping
from imgrelay_dagster.relay.outcomes import Stage
from imgrelay_dagster.relay.progress.notes import read_progress
from imgrelay_dagster.runs.tags import DATASET_TAG, RESULTS_TAG
from tests.support.command import until
from tests.support.dagster_runs import OVER
from tests.support.dagster_servers import DagsterServers, connections
from tests.support.run_checks import (
    IN_FLIGHT,
    check_ended_early,
    check_receipts,
    check_results,
    done_urls,
    lock_is_free,
)

ENTRIES = 10_000
DISTINCT_LATE = 200
"""Different URLs of the manifest whose runs are terminated in their report: it has as many lines, quickly done."""

GONE_LIMIT = 20.0
"""Seconds from the click until the last process is gone: 10 is promised, the rest is for a busy machine."""

EARLY = ("queued", "starting", "started", "plan")
STAGES = ("download", "compose", "upload")
MOMENTS = (*EARLY, *(stage for stage in STAGES for _ in range(4)), *["report"] * 4)


SETTLED_BY_SENSOR = (5, 18)
"""Rounds that wait for the sensor; in the others the test plays its part, which saves half a minute each."""


@dataclass(frozen=True)
class Terminated:
    """How a termination went; times in seconds after the click."""

    moment: str
    canceled: float
    gone: float
    uploaded: int
    objects_without_receipt: int


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DagsterServers]:
    with DagsterServers(tmp_path_factory.mktemp("cancel"), IMGRELAY_WATCH_INTERVAL="5") as instance:
        yield instance


def wait_for_moment(served: DagsterServers, run_id: str, moment: str, delay: random.Random) -> None:
    """Wait until the run is at the place where it shall be terminated."""
    if moment == "starting":
        until(lambda: served.status(run_id) not in ("QUEUED", "NOT_STARTED"), 120, "the run is taken from the queue")
    elif moment == "started":
        served.wait_for(run_id, "STARTED")
    elif moment in ("plan", "report"):
        served.wait_for_steps(run_id, moment)
    elif moment != "queued":
        until(lambda: at_work(served, run_id, Stage(moment)), 180, f"{moment} is at work")
        time.sleep(0.3 * delay.random())


def at_work(served: DagsterServers, run_id: str, stage: Stage) -> bool:
    """Whether a stage has some entries through, as the command's progress bar tells it."""
    assert served.status(run_id) not in OVER, served.why(run_id)
    return read_progress(served.stores.staging(run_id)).passed[stage] > 0


def settle(served: DagsterServers, run_id: str, *, by_sensor: bool) -> None:
    """Let the run have its results: from the sensor's next round, or from one made here at once."""
    if by_sensor:
        until(lambda: RESULTS_TAG in served.tags(run_id), 120, "the sensor gives the run its results")
    else:
        list(housekeeping.settle_ended_runs(served.dagster, served.stores))


def one_round(
    served: DagsterServers,
    origin: Origin,
    form: dict[str, object],
    moment: str,
    delay: random.Random,
    *,
    by_sensor: bool,
) -> Terminated | None:
    """Launch, terminate, look at what is left."""
    dataset = str(form["dataset"])
    run_id = served.launch(form)
    wait_for_moment(served, run_id, moment, delay)
    times = served.terminate_to_the_end(run_id)
    if times is None:
        return None
    assert connections(origin.port) == 0
    uploaded = 0
    if DATASET_TAG in served.tags(run_id):
        settle(served, run_id, by_sensor=by_sensor)
        if served.results_folder(run_id).exists():
            uploaded = check_ended_early(served, run_id, ENTRIES)["uploaded"]
        else:
            assert served.tags(run_id)[RESULTS_TAG] == "none: ended before it was planned"
    assert moment not in ("upload", "report") or served.results_folder(run_id).exists()
    assert not (served.home / "staging" / run_id).exists()
    assert lock_is_free(served, dataset)
    assert not served.dagster.event_log_storage.get_concurrency_keys(), "a pool slot is kept"
    bare = check_receipts(served)
    return Terminated(moment, *times, uploaded, bare)


def table(rounds: list[Terminated]) -> str:
    """The figures, by moment."""
    lines = [f"{'terminated in':14} {'runs':>4}  CANCELED min/median/max s  gone min/median/max s  without receipt"]
    groups = {moment: [row for row in rounds if row.moment == moment] for moment in dict.fromkeys(MOMENTS)}
    for name, rows in {**groups, "all": rounds}.items():
        if rows:
            canceled, gone = ([getattr(row, field) for row in rows] for field in ("canceled", "gone"))
            spread = [(min(times), statistics.median(times), max(times)) for times in (canceled, gone)]
            shown = ["{:6.1f} {:6.1f} {:6.1f}".format(*times) for times in spread]
            bare = max(row.objects_without_receipt for row in rows)
            lines.append(f"{name:14} {len(rows):4}  {shown[0]:>26}  {shown[1]:>21}  {bare:15}")
    return "\n".join(lines)


def test_every_terminated_run_ends_in_seconds_and_what_it_did_is_kept(
    served: DagsterServers, figures: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(housekeeping, "GRACE", 0.0)  # every process of a run is gone before it is settled here
    monkeypatch.setenv("IMGRELAY_DESTINATION", str(served.out))  # as the sensor has it
    delay = random.Random(7)
    rounds: list[Terminated] = []
    with Origin() as origin:
        urls = [origin.url(f"jpeg/tiny-sunset.jpg?n={n}") for n in range(ENTRIES)]
        served.write_manifest("birds.txt", urls)
        served.write_manifest(
            "late.txt", [origin.url(f"jpeg/tiny-sunset.jpg?late={n % DISTINCT_LATE}") for n in range(ENTRIES)]
        )
        birds = {"manifest": "birds.txt", "dataset": "birds"}
        late = {"manifest": "late.txt", "dataset": "late", "refresh": True}
        for number, moment in enumerate(MOMENTS):
            form = late if moment == "report" else birds
            done = one_round(served, origin, form, moment, delay, by_sensor=number in SETTLED_BY_SENSOR)
            if done is not None:
                rounds.append(done)
                print(f"{number:3} {done}", flush=True)

        print("\n" + table(rounds))
        (figures / "cancel.json").write_bytes(TypeAdapter(list[Terminated]).dump_json(rounds, indent=2))
        assert Counter(row.moment for row in rounds)["report"] >= 1, "no report was caught at work"
        assert len(rounds) >= len(MOMENTS) - 2
        assert max(row.gone for row in rounds) < GONE_LIMIT, [asdict(row) for row in rounds]
        assert max(row.objects_without_receipt for row in rounds) <= len(rounds) * IN_FLIGHT

        before = done_urls(served, "birds")
        hits = Counter(origin.hits)
        run_id = served.launch(birds)
        assert served.wait_for(run_id, *OVER, limit=400) == "SUCCESS"
        summary = check_results(served, run_id, ENTRIES)
        assert (summary["unchanged"], summary["uploaded"]) == (len(before), ENTRIES - len(before))
        asked = {target.rpartition("=")[2] for target in Counter(origin.hits) - hits}
        assert asked == {url.rpartition("=")[2] for url in urls} - {url.rpartition("=")[2] for url in before}
        assert check_receipts(served) == 0
        assert lock_is_free(served, "birds")
