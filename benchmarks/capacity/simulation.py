"""Simulates a day's work: manifests, their runs, the runs' tasks, and the queue from which workers take steps.

It simulates what determines how long a day's work takes. The run queue limits the number of concurrent runs, and allows
one per dataset. A run submits at most `at_once` steps, polls for results once a second, and prefers started tasks. A
worker slot executes one step at a time, and waits for origins and store as its threads do. Other costs only add up.
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

LAUNCH_DELAY = 10.0
"""Seconds until a dequeued run can start its step `plan`: the daemon's interval, start of the process, imports."""

OPS = ("plan", *STAGES, "report")
PRIORITY = {op.name: int(op.tags["dagster/priority"]) for op in (plan_op, download, compose, upload, report_op)}
PER_RUN: int = RelayConfig.model_fields["max_entries_per_run"].default


def _threads() -> dict[str, int]:
    settings = Settings(dataset="", destination="")
    per_host = min(settings.limits.threads, settings.limits.per_host)
    return {"download": per_host, "compose": settings.compose_threads, "upload": settings.upload_threads}


@dataclass(frozen=True)
class Plan:
    """How a day's images are divided into manifests, runs and tasks, and the workers for them.

    Attributes:
        slots: number of slots of all workers. A slot executes one step at a time.
        per_task, per_run, per_manifest: numbers of entries. A manifest with more than `per_run` is split into shard
            runs. With `per_task` None, a run chooses the size of its tasks.
        runs_at_once, at_once: limits on the concurrent runs, and on the concurrent steps of a run.
        latency, store_latency: seconds until an origin and the store answer.
        threads: threads of a step, by stage. The default for downloads is that for a single host.
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
        """Number of entries in a task."""
        entries = min(self.images, self.per_manifest, self.per_run)
        return entries_per_task(entries, requested=self.per_task, max_concurrent=self.at_once)


@dataclass(frozen=True)
class Day:
    """The result of a simulated day.

    Attributes:
        seconds: time until the last result is written.
        worked: seconds in which slots were busy, of all slots together.
        staged: maximum number of tasks in staging at the same time.
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
    """One run: the steps that are ready, by op, and the seconds of CPU that its plan and its report take."""

    dataset: int
    tasks: int
    planning: float
    reporting: float
    started: float = 0.0
    in_flight: int = 0
    left: int = 0
    ready: dict[str, int] = field(default_factory=lambda: dict.fromkeys(OPS, 0))

    def tick_after(self, at: float) -> float:
        return self.started + TICK_SECONDS * ceil((at - self.started) / TICK_SECONDS + 1e-9)


class Simulation:
    """Simulates one day."""

    def __init__(self, plan: Plan, costs: Costs) -> None:
        self._plan, self._costs = plan, costs
        self._cpu = {stage: costs.step_cpu + plan.task * costs.entry_cpu[stage] for stage in STAGES}
        self._duration = {stage: max(self._cpu[stage], self._waiting_seconds(stage)) for stage in STAGES}
        self._events: list[tuple[float, int, str, _Run, str]] = []
        self._queue: list[tuple[int, int, _Run, str]] = []
        self._number = self._staged = self._max_staged = 0
        self._free = plan.slots
        self._worked = self._worker_cpu = 0.0

    def run(self) -> Day:
        """Run the simulation to its end."""
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
                self._schedule(run.tick_after(now), "noticed", run, op)
            elif kind == "noticed":
                run.in_flight -= 1
                if self._finish(run, op):
                    if manifests[run.dataset]:
                        waiting.append(manifests[run.dataset])
                    if waiting:
                        self._launch(waiting.popleft(), now)
                self._submit(run)
            else:
                self._submit(run)
            self._start_steps(now)
        return Day(
            seconds=now,
            worked=self._worked,
            staged=self._max_staged,
            tasks=tasks,
            steps=3 * tasks + 2 * runs,
            runs=runs,
            worker_cpu=self._worker_cpu,
        )

    def _waiting_seconds(self, stage: str) -> float:
        """Return the seconds for which a task's threads wait for responses."""
        plan = self._plan
        each = self._costs.waits[stage] * plan.store_latency + (plan.latency if stage == "download" else 0.0)
        return plan.task * each / plan.threads[stage]

    def _runs(self, number: int) -> list[_Run]:
        """Return a manifest's runs, the last one first: a single run, or a coordinator and its shards.

        Each shard reads the whole ledger of the coordinator. The last shard merges the results of all.
        """
        plan, costs = self._plan, self._costs
        lines = min(plan.per_manifest, plan.images - number * plan.per_manifest)
        shards = ceil(lines / plan.per_run)
        planning, reporting = lines * costs.planning, lines * costs.reporting
        if shards == 1:
            return [_Run(number, ceil(lines / plan.task), planning, reporting)]
        tasks = ceil(lines / shards / plan.task)
        reading, share = lines * costs.reading + planning / shards, reporting / shards
        others = [_Run(number, tasks, reading, share) for _ in range(shards - 1)]
        return [_Run(number, tasks, reading, share + reporting), *others, _Run(number, 0, planning, reporting)]

    def _launch(self, runs: list[_Run], now: float) -> None:
        run = runs.pop()
        run.started, run.left, run.ready["plan"] = now + LAUNCH_DELAY, run.tasks, 1
        self._schedule(run.started, "launched", run, "")

    def _finish(self, run: _Run, op: str) -> bool:
        """Record the end of a step. Returns whether it was the run's last one."""
        if op == "upload":
            run.left -= 1
        if op == "plan":
            run.ready["download"] = run.tasks
        elif op in ("download", "compose"):
            run.ready[OPS[OPS.index(op) + 1]] += 1
        if op in ("plan", "upload") and not run.left:
            run.ready["report"] = 1
        return op == "report"

    def _submit(self, run: _Run) -> None:
        for op in reversed(OPS):
            while run.ready[op] and run.in_flight < self._plan.at_once:
                run.ready[op] -= 1
                run.in_flight += 1
                self._number += 1
                heapq.heappush(self._queue, (-PRIORITY[op], self._number, run, op))

    def _start_steps(self, now: float) -> None:
        while self._free and self._queue:
            _, _, run, op = heapq.heappop(self._queue)
            self._free -= 1
            self._staged += op == "download"
            self._max_staged = max(self._max_staged, self._staged)
            own_cpu = self._costs.step_cpu + {"plan": run.planning, "report": run.reporting}.get(op, 0.0)
            duration = self._duration.get(op, own_cpu)
            self._worked += duration
            self._worker_cpu += self._cpu.get(op, own_cpu)
            self._schedule(now + duration, "finished", run, op)

    def _schedule(self, at: float, kind: str, run: _Run, op: str) -> None:
        self._number += 1
        heapq.heappush(self._events, (at, self._number, kind, run, op))
