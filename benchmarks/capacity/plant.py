"""A day's work as a simulation: manifests, their runs, the runs' tasks, and the queue that workers take steps from.

What is simulated is what decides how long a day takes: the run queue lets so many runs go on at once, and one of each
dataset; a run hands out at most `at_once` steps, looks for results once a second, and puts begun work first; a worker's
slot does one step at a time, and waits for origins and store as its threads do. What only adds up is added up.
"""

import heapq
from collections import deque
from dataclasses import dataclass, field
from math import ceil

from dagster_celery.core_execution_loop import TICK_SECONDS

from benchmarks.capacity.costs import STAGES, Costs
from imgrelay_dagster.config.run_config import RelayConfig
from imgrelay_dagster.ops.plan import plan as plan_op
from imgrelay_dagster.ops.report import report as report_op
from imgrelay_dagster.ops.stages import compose, download, upload
from imgrelay_dagster.relay.settings import Settings
from imgrelay_dagster.relay.staging.tasks import entries_per_task

LAUNCH = 10.0
"""Seconds from a run's place in the queue being free until its plan can begin: the daemon's round, process, imports."""

OPS = ("plan", *STAGES, "report")
PRIORITY = {op.name: int(op.tags["dagster/priority"]) for op in (plan_op, download, compose, upload, report_op)}
PER_RUN: int = RelayConfig.model_fields["max_entries_per_run"].default


def _threads() -> dict[str, int]:
    given = Settings(dataset="", destination="")
    per_host = min(given.limits.threads, given.limits.per_host)
    return {"download": per_host, "compose": given.compose_threads, "upload": given.upload_threads}


@dataclass(frozen=True)
class Plan:
    """How a day's images are cut, and who works on them.

    Attributes:
        slots: of all workers together; each does one step at a time.
        per_task, per_run, per_manifest: entries. A manifest of more than `per_run` is cut into shard runs; with
            `per_task` None, tasks are as large as a run chooses by itself.
        runs_at_once, at_once: what the run queue and a run allow: runs, and steps of one.
        latency, store_latency: seconds that an origin and the store take to answer.
        threads: of a step, by stage. The defaults of downloads are those for a single host.
    """

    images: int
    slots: int
    per_task: int | None = None
    per_run: int = PER_RUN
    per_manifest: int = PER_RUN
    runs_at_once: int = 4
    at_once: int = 64
    latency: float = 0.2
    store_latency: float = 0.02
    threads: dict[str, int] = field(default_factory=_threads)

    @property
    def task(self) -> int:
        """Entries in a task."""
        entries = min(self.images, self.per_manifest, self.per_run)
        return entries_per_task(entries, wanted=self.per_task, max_concurrent=self.at_once)


@dataclass(frozen=True)
class Day:
    """What became of it.

    Attributes:
        seconds: until the last result is written.
        worked: seconds of slots.
        staged: tasks in staging at one moment, at most.
    """

    seconds: float
    worked: float
    staged: int
    tasks: int
    steps: int
    runs: int
    worker_cpu: float


@dataclass(eq=False)
class _Run:
    """One run: how many steps of which op may be handed out, and how long its plan and its report take."""

    dataset: int
    tasks: int
    planning: float
    telling: float
    began: float = 0.0
    in_flight: int = 0
    left: int = 0
    ready: dict[str, int] = field(default_factory=lambda: dict.fromkeys(OPS, 0))

    def tick_after(self, at: float) -> float:
        return self.began + TICK_SECONDS * ceil((at - self.began) / TICK_SECONDS + 1e-9)


class Plant:
    """The simulation of one day."""

    def __init__(self, plan: Plan, costs: Costs) -> None:
        self._plan, self._costs = plan, costs
        self._cpu = {stage: costs.step_cpu + plan.task * costs.entry_cpu[stage] for stage in STAGES}
        self._takes = {stage: max(self._cpu[stage], self._waits(stage)) for stage in STAGES}
        self._events: list[tuple[float, int, str, _Run, str]] = []
        self._queue: list[tuple[int, int, _Run, str]] = []
        self._number = self._staged = self._most_staged = 0
        self._free = plan.slots
        self._worked = self._worker_cpu = 0.0

    def day(self) -> Day:
        """Let it run to its end."""
        plan = self._plan
        manifests = [self._runs(number) for number in range(ceil(plan.images / plan.per_manifest))]
        runs = sum(map(len, manifests))
        tasks = sum(run.tasks for each in manifests for run in each)
        waiting = deque(manifests)
        now = 0.0
        for _ in range(min(plan.runs_at_once, len(waiting))):
            self._launch(waiting.popleft(), now)
        while self._events:
            now, _, kind, run, op = heapq.heappop(self._events)
            if kind == "finished":
                self._free += 1
                self._staged -= op == "upload"
                self._add(run.tick_after(now), "noticed", run, op)
            elif kind == "noticed":
                run.in_flight -= 1
                if self._over(run, op):
                    if manifests[run.dataset]:
                        waiting.append(manifests[run.dataset])
                    if waiting:
                        self._launch(waiting.popleft(), now)
                self._hand_out(run)
            else:
                self._hand_out(run)
            self._serve(now)
        return Day(
            seconds=now,
            worked=self._worked,
            staged=self._most_staged,
            tasks=tasks,
            steps=3 * tasks + 2 * runs,
            runs=runs,
            worker_cpu=self._worker_cpu,
        )

    def _waits(self, stage: str) -> float:
        """Seconds that a task's threads wait for answers."""
        plan = self._plan
        each = self._costs.waits[stage] * plan.store_latency + (plan.latency if stage == "download" else 0.0)
        return plan.task * each / plan.threads[stage]

    def _runs(self, number: int) -> list[_Run]:
        """A manifest's runs, the last one first: one alone, or a coordinator and its shards.

        Each shard reads the whole ledger of the coordinator, and the last one joins the results of all.
        """
        plan, costs = self._plan, self._costs
        lines = min(plan.per_manifest, plan.images - number * plan.per_manifest)
        shards = ceil(lines / plan.per_run)
        planning, telling = lines * costs.planning, lines * costs.telling
        if shards == 1:
            return [_Run(number, ceil(lines / plan.task), planning, telling)]
        tasks = ceil(lines / shards / plan.task)
        reading, share = lines * costs.reading + planning / shards, telling / shards
        others = [_Run(number, tasks, reading, share) for _ in range(shards - 1)]
        return [_Run(number, tasks, reading, share + telling), *others, _Run(number, 0, planning, telling)]

    def _launch(self, runs: list[_Run], now: float) -> None:
        run = runs.pop()
        run.began, run.left, run.ready["plan"] = now + LAUNCH, run.tasks, 1
        self._add(run.began, "launched", run, "")

    def _over(self, run: _Run, op: str) -> bool:
        """Take note of a step's end; whether it was the run's last."""
        if op == "upload":
            run.left -= 1
        if op == "plan":
            run.ready["download"] = run.tasks
        elif op in ("download", "compose"):
            run.ready[OPS[OPS.index(op) + 1]] += 1
        if op in ("plan", "upload") and not run.left:
            run.ready["report"] = 1
        return op == "report"

    def _hand_out(self, run: _Run) -> None:
        for op in reversed(OPS):
            while run.ready[op] and run.in_flight < self._plan.at_once:
                run.ready[op] -= 1
                run.in_flight += 1
                self._number += 1
                heapq.heappush(self._queue, (-PRIORITY[op], self._number, run, op))

    def _serve(self, now: float) -> None:
        while self._free and self._queue:
            _, _, run, op = heapq.heappop(self._queue)
            self._free -= 1
            self._staged += op == "download"
            self._most_staged = max(self._most_staged, self._staged)
            alone = self._costs.step_cpu + {"plan": run.planning, "report": run.telling}.get(op, 0.0)
            takes = self._takes.get(op, alone)
            self._worked += takes
            self._worker_cpu += self._cpu.get(op, alone)
            self._add(now + takes, "finished", run, op)

    def _add(self, at: float, kind: str, run: _Run, op: str) -> None:
        self._number += 1
        heapq.heappush(self._events, (at, self._number, kind, run, op))
