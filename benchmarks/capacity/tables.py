"""The columns of the tables: measured costs, the requirements of a day, and the limits of each resource."""

from dataclasses import dataclass, replace
from math import ceil

from benchmarks.capacity.costs import DELETES, GETS, PUTS, Costs
from benchmarks.capacity.simulation import Day, Plan, Simulation
from imgrelay_dagster.config.environment import MOST_CONCURRENT

MAX_UTILIZATION = 0.8
"""Maximum share of a machine's cores and memory that is used over hours."""

DAY = 86_400.0
GIB = 2.0**30

PREFIX_PUTS, PREFIX_GETS = 3_500, 5_500
"""Requests per second that Amazon S3 supports for one prefix at least. It scales busier prefixes after a while."""

LINK = 10e9 / 8
"""Bytes per second of a 10 Gbit/s network link."""


@dataclass(frozen=True)
class Machine:
    """A machine type: cores, memory in GiB, price per hour, speed of its cores relative to the measured machine."""

    name: str
    cores: int
    memory: float
    hour: float
    speed: float = 1.0

    def needed(self, cores: float, memory: float) -> float:
        """Return how many of these machines are needed for `cores` busy cores and `memory` bytes."""
        return max(cores / (self.cores * self.speed * MAX_UTILIZATION), memory / (self.memory * GIB * MAX_UTILIZATION))


@dataclass(frozen=True)
class Prices:
    """Example prices, of no real provider. `puts` and `gets` are per million requests; `machines` are for workers."""

    machines: tuple[Machine, ...] = (
        Machine("2 shared cores, 4 GiB", 2, 4, 0.04, speed=0.6),
        Machine("8 cores, 16 GiB", 8, 16, 0.34),
        Machine("8 cores, 32 GiB", 8, 32, 0.40),
        Machine("32 cores, 128 GiB, preemptible", 32, 128, 0.55),
    )
    puts: float = 5.0
    gets: float = 0.4


def costs_column(costs: Costs) -> dict[str, str]:
    """Return the measured costs, by row."""
    requests = [
        " + ".join(
            f"{cost[kind]:,.2f} {name}" for kind, name in ((PUTS, "PUT or LIST"), (GETS, "GET"), (DELETES, "DELETE"))
        )
        for cost in (costs.entry_requests, costs.step_requests)
    ]
    stages = " + ".join(f"{1e3 * seconds:.2f}" for seconds in costs.entry_cpu.values())
    return {
        "worker CPU per entry: download + compose + upload": f"{stages} ms",
        "worker CPU per step, in addition to its entries": f"{1e3 * costs.step_cpu:.0f} ms",
        "worker CPU per manifest line: plan + report": f"{1e3 * costs.planning:.3f} + {1e3 * costs.reporting:.3f} ms",
        "worker CPU of each shard run per line of the whole manifest": f"{1e3 * costs.reading:.3f} ms",
        "CPU per step of the run's process, of Redis": f"{1e3 * costs.loop_cpu:.1f}, {1e3 * costs.broker_cpu:.1f} ms",
        "event rows per step": f"{costs.step_rows:.1f}",
        "Postgres CPU per event row, and its size": f"{1e3 * costs.row_cpu:.1f} ms, {costs.row_bytes:,.0f} bytes",
        "store requests per entry": requests[0],
        "store requests per step": requests[1],
        "bytes per image, downloaded and stored": f"{costs.bytes_in:,.0f}, {costs.bytes_out:,.0f}",
        "memory of a worker with one slot": f"{costs.slot_memory / 2**20:,.0f} MiB",
    }


def smallest_plan(plan: Plan, costs: Costs, *, hours: float) -> tuple[Plan, Day]:
    """Find the smallest number of slots, within a few percent, that finishes within `hours`.

    The number of concurrent runs is high enough to keep the slots busy.

    Raises:
        ValueError: no number of slots is enough.
    """
    least = max(1, int(Simulation(_with_slots(plan, 64), costs).run().worked / (hours * 3600)))
    slots = least
    while slots <= 50 * least:
        trial = _with_slots(plan, slots)
        day = Simulation(trial, costs).run()
        if day.seconds <= hours * 3600:
            return trial, day
        excess = day.seconds / (hours * 3600)
        slots = max(slots + 1, int(slots * min(excess, 1.04 if excess < 1.2 else 2.0)))
    raise ValueError(
        f"no number of workers relays {plan.images:,} images in {hours:g} hours: the runs of one dataset run one after "
        f"another, and each manifest has {plan.per_manifest:,} entries; split manifests, or raise --hours"
    )


def _with_slots(plan: Plan, slots: int) -> Plan:
    at_once = min(MOST_CONCURRENT, max(2, ceil(1.5 * slots)))
    return replace(plan, slots=slots, at_once=at_once, runs_at_once=max(plan.runs_at_once, ceil(2 * slots / at_once)))


def requirements_column(plan: Plan, day: Day, costs: Costs, prices: Prices) -> dict[str, str]:
    """Return the requirements of a day, by row."""
    rate = plan.images / day.seconds
    rows = day.steps * costs.step_rows
    puts, gets, deletes = (costs.requests(kind, plan.images, day.steps) for kind in (PUTS, GETS, DELETES))
    cores, memory = day.worker_cpu / day.seconds, plan.slots * costs.slot_memory
    million = 1e6 / plan.images
    request_price = puts * prices.puts + gets * prices.gets
    return {
        "duration": f"{day.seconds / 3600:.1f} h: {rate:,.0f} images/s",
        "runs, tasks, steps": f"{day.runs:,}, {day.tasks:,}, {day.steps:,}",
        "concurrent runs, concurrent steps of each": f"{plan.runs_at_once}, {plan.at_once}",
        "worker slots": f"{plan.slots:,}, busy {day.worked / (plan.slots * day.seconds):.0%} of the time",
        "worker cores and memory": f"{cores:.1f} busy, {memory / GIB:,.0f} GiB",
        "busy cores of the runs' own processes, Redis, Postgres": ", ".join(
            f"{each / day.seconds:.2f}"
            for each in (day.steps * costs.loop_cpu, day.steps * costs.broker_cpu, rows * costs.row_cpu)
        ),
        "database": f"{rows:,.0f} event rows, {rows / day.seconds:,.1f}/s; {rows * costs.row_bytes / GIB:,.1f} GiB",
        "maximum in staging": f"{day.staged:,} tasks, {_staged_bytes(plan, day, costs) / GIB:,.1f} GiB",
        "requests to origins": f"{rate:,.0f}/s, {rate * costs.bytes_in * 8 / 1e6:,.0f} Mbit/s",
        "requests to the store": f"{puts / day.seconds:,.0f} PUT and LIST/s, {gets / day.seconds:,.0f} GET/s, "
        f"{deletes / day.seconds:,.0f} DELETE/s; {rate * _transferred(costs) * 8 / 1e6:,.0f} Mbit/s",
        "price of store requests per million images": f"{request_price * million / 1e6:,.2f}",
        **{
            f"price of {machine.name} per million images": _price(machine, cores, memory, day.seconds / 3600 * million)
            for machine in prices.machines
        },
    }


def _price(machine: Machine, cores: float, memory: float, hours: float) -> str:
    count = ceil(machine.needed(cores, memory))
    return f"{count * machine.hour * hours:,.2f} ({count:,} machine{'s' if count > 1 else ''})"


def _staged_bytes(plan: Plan, day: Day, costs: Costs) -> float:
    return day.staged * plan.task * (costs.bytes_in + costs.bytes_out)


def _transferred(costs: Costs) -> float:
    """Return the bytes transferred between workers and store per image: twice to staging and back, then stored."""
    return 2 * costs.bytes_in + 3 * costs.bytes_out


def limits_column(plan: Plan, costs: Costs) -> dict[str, str]:
    """Return the number of images per day that one unit of each resource can handle, by row."""
    steps = 3 / plan.task
    rows = steps * costs.step_rows
    one_run = replace(plan, images=plan.per_run, slots=10 * MOST_CONCURRENT, runs_at_once=1, at_once=MOST_CONCURRENT)
    one_slot = replace(plan, images=plan.per_run, slots=1, runs_at_once=1, at_once=2)
    found = {
        "one worker slot": DAY * plan.per_run / Simulation(one_slot, costs).run().seconds,
        "one worker core": DAY
        / (sum(costs.entry_cpu.values()) + costs.planning + costs.reporting + steps * costs.step_cpu),
        f"one dataset, with consecutive runs of {plan.per_run:,}": DAY
        * plan.per_run
        / Simulation(one_run, costs).run().seconds,
        "one core of the runs' own processes": DAY / (steps * costs.loop_cpu),
        "one core of Postgres": DAY / (rows * costs.row_cpu),
        "one core of Redis": DAY / (steps * costs.broker_cpu),
        f"{PREFIX_PUTS:,} PUT and LIST/s": DAY * PREFIX_PUTS / costs.requests(PUTS, 1, steps),
        f"{PREFIX_GETS:,} GET/s": DAY * PREFIX_GETS / costs.requests(GETS, 1, steps),
        "a 10 Gbit/s link to the store": DAY * LINK / _transferred(costs),
        "a 10 Gbit/s link from the origins": DAY * LINK / costs.bytes_in,
    }
    return {name: f"{images / 1e6:,.1f} million" for name, images in found.items()}
