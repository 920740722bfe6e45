"""What a day needs, told as tables: machines, requests, rows and money; and what one of each thing carries."""

from dataclasses import dataclass, replace
from math import ceil

from benchmarks.capacity.costs import DELETES, GETS, PUTS, Costs
from benchmarks.capacity.plant import Day, Plan, Plant
from imgrelay_dagster.config.run_config import MOST_CONCURRENT

BUSY = 0.8
"""How busy a machine's cores may be over hours."""

DAY = 86_400.0
GIB = 2.0**30

PREFIX_PUTS, PREFIX_GETS = 3_500, 5_500
"""Requests a second that Amazon's S3 promises for one prefix; it splits prefixes that have more, after a while."""

LINE = 10e9 / 8
"""Bytes a second of a 10 Gbit/s line."""


@dataclass(frozen=True)
class Machine:
    """A class of machine: cores, memory in GiB, the price of an hour, its cores' speed beside the one measured on."""

    name: str
    cores: int
    memory: float
    hour: float
    speed: float = 1.0

    def wanted(self, cores: float, memory: float) -> float:
        """How many of them have so many cores of work and so many bytes of memory."""
        return max(cores / (self.cores * self.speed * BUSY), memory / (self.memory * GIB * BUSY))


@dataclass(frozen=True)
class Prices:
    """In one currency, nobody's offer. `puts` and `gets` are for a million requests, `machines` are for workers."""

    machines: tuple[Machine, ...] = (
        Machine("2 shared cores, 4 GiB", 2, 4, 0.04, speed=0.6),
        Machine("8 cores, 16 GiB", 8, 16, 0.34),
        Machine("8 cores, 32 GiB", 8, 32, 0.40),
        Machine("32 cores, 128 GiB, preemptible", 32, 128, 0.55),
    )
    puts: float = 5.0
    gets: float = 0.4


def measured(costs: Costs) -> dict[str, str]:
    """The costs themselves, by what they are."""
    requests = [
        " + ".join(
            f"{of[kind]:,.2f} {name}" for kind, name in ((PUTS, "PUT or LIST"), (GETS, "GET"), (DELETES, "DELETE"))
        )
        for of in (costs.entry_requests, costs.step_requests)
    ]
    stages = " + ".join(f"{1e3 * seconds:.2f}" for seconds in costs.entry_cpu.values())
    return {
        "CPU of workers for an entry: download + compose + upload": f"{stages} ms",
        "CPU of workers for a step, on top of its entries": f"{1e3 * costs.step_cpu:.0f} ms",
        "CPU of workers for a line in plan + report": f"{1e3 * costs.planning:.3f} + {1e3 * costs.telling:.3f} ms",
        "CPU of each shard run for a line of the whole manifest": f"{1e3 * costs.reading:.3f} ms",
        "CPU of the run's process, Redis, for a step": f"{1e3 * costs.loop_cpu:.1f}, {1e3 * costs.broker_cpu:.1f} ms",
        "event rows of a step": f"{costs.step_rows:.1f}",
        "CPU of Postgres for an event row, and its size": f"{1e3 * costs.row_cpu:.1f} ms, {costs.row_bytes:,.0f} bytes",
        "requests to the store for an entry": requests[0],
        "requests to the store for a step": requests[1],
        "bytes of an image as it comes, as it is stored": f"{costs.bytes_in:,.0f}, {costs.bytes_out:,.0f}",
        "memory of a worker with one slot": f"{costs.slot_memory / 2**20:,.0f} MiB",
    }


def smallest(plan: Plan, costs: Costs, *, hours: float) -> tuple[Plan, Day]:
    """The fewest slots, within some percent, that are through after `hours`, with runs enough to keep them at work.

    Raises:
        ValueError: no number of slots is.
    """
    least = max(1, int(Plant(_for_slots(plan, 64), costs).day().worked / (hours * 3600)))
    slots = least
    while slots <= 50 * least:
        trial = _for_slots(plan, slots)
        day = Plant(trial, costs).day()
        if day.seconds <= hours * 3600:
            return trial, day
        late = day.seconds / (hours * 3600)
        slots = max(slots + 1, int(slots * min(late, 1.04 if late < 1.2 else 2.0)))
    raise ValueError(
        f"no number of workers relays {plan.images:,} images in {hours:g} hours: runs of one dataset go on one after "
        f"another, and {plan.per_manifest:,} entries are in each manifest; cut manifests, or raise --hours"
    )


def _for_slots(plan: Plan, slots: int) -> Plan:
    at_once = min(MOST_CONCURRENT, max(2, ceil(1.5 * slots)))
    return replace(plan, slots=slots, at_once=at_once, runs_at_once=max(plan.runs_at_once, ceil(2 * slots / at_once)))


def needs(plan: Plan, day: Day, costs: Costs, prices: Prices) -> dict[str, str]:
    """What the day needs, by what it is."""
    rate = plan.images / day.seconds
    rows = day.steps * costs.step_rows
    puts, gets, deletes = (costs.requests(kind, plan.images, day.steps) for kind in (PUTS, GETS, DELETES))
    cores, memory = day.worker_cpu / day.seconds, plan.slots * costs.slot_memory
    million = 1e6 / plan.images
    return {
        "done after": f"{day.seconds / 3600:.1f} h: {rate:,.0f} images/s",
        "runs, tasks, steps": f"{day.runs:,}, {day.tasks:,}, {day.steps:,}",
        "runs at once, steps at once in each": f"{plan.runs_at_once}, {plan.at_once}",
        "slots of workers": f"{plan.slots:,}, at work {day.worked / (plan.slots * day.seconds):.0%} of the time",
        "cores and memory of workers": f"{cores:.1f} busy, {memory / GIB:,.0f} GiB",
        "cores busy in the runs' own processes, Redis, Postgres": ", ".join(
            f"{each / day.seconds:.2f}"
            for each in (day.steps * costs.loop_cpu, day.steps * costs.broker_cpu, rows * costs.row_cpu)
        ),
        "database": f"{rows:,.0f} event rows, {rows / day.seconds:,.1f}/s; {rows * costs.row_bytes / GIB:,.1f} GiB",
        "staging at most": f"{day.staged:,} tasks, {_staged(plan, day, costs) / GIB:,.1f} GiB",
        "requests to origins": f"{rate:,.0f}/s, {rate * costs.bytes_in * 8 / 1e6:,.0f} Mbit/s",
        "requests to the store": f"{puts / day.seconds:,.0f} PUT and LIST/s, {gets / day.seconds:,.0f} GET/s, "
        f"{deletes / day.seconds:,.0f} DELETE/s; {rate * _stored(costs) * 8 / 1e6:,.0f} Mbit/s",
        "store requests, for a million images": f"{million * (puts * prices.puts + gets * prices.gets) / 1e6:,.2f}",
        **{
            f"{machine.name}, for a million images": _paid(machine, cores, memory, day.seconds / 3600 * million)
            for machine in prices.machines
        },
    }


def _paid(machine: Machine, cores: float, memory: float, hours: float) -> str:
    count = ceil(machine.wanted(cores, memory))
    return f"{count * machine.hour * hours:,.2f} ({count:,} of them)"


def _staged(plan: Plan, day: Day, costs: Costs) -> float:
    return day.staged * plan.task * (costs.bytes_in + costs.bytes_out)


def _stored(costs: Costs) -> float:
    """Bytes between workers and store for an image: into staging and out of it twice, and into the destination."""
    return 2 * costs.bytes_in + 3 * costs.bytes_out


def carries(plan: Plan, costs: Costs) -> dict[str, str]:
    """What one of each thing carries, in images a day."""
    steps = 3 / plan.task
    rows = steps * costs.step_rows
    one_run = replace(plan, images=plan.per_run, slots=10 * MOST_CONCURRENT, runs_at_once=1, at_once=MOST_CONCURRENT)
    one_slot = replace(plan, images=plan.per_run, slots=1, runs_at_once=1, at_once=2)
    found = {
        "one slot of a worker": DAY * plan.per_run / Plant(one_slot, costs).day().seconds,
        "one core of workers": DAY
        / (sum(costs.entry_cpu.values()) + costs.planning + costs.telling + steps * costs.step_cpu),
        f"one dataset, a run of {plan.per_run:,} after the other": DAY
        * plan.per_run
        / Plant(one_run, costs).day().seconds,
        "one core of the runs' own processes": DAY / (steps * costs.loop_cpu),
        "one core of Postgres": DAY / (rows * costs.row_cpu),
        "one core of Redis": DAY / (steps * costs.broker_cpu),
        f"{PREFIX_PUTS:,} PUT and LIST/s": DAY * PREFIX_PUTS / costs.requests(PUTS, 1, steps),
        f"{PREFIX_GETS:,} GET/s": DAY * PREFIX_GETS / costs.requests(GETS, 1, steps),
        "a line of 10 Gbit/s to the store": DAY * LINE / _stored(costs),
        "a line of 10 Gbit/s from the origins": DAY * LINE / costs.bytes_in,
    }
    return {name: f"{images / 1e6:,.1f} million" for name, images in found.items()}
