"""The number, the sizes and the names of tasks."""

from dataclasses import replace

import pytest

from imgrelay_dagster.relay.outcomes import Record
from imgrelay_dagster.relay.staging.tasks import (
    LARGEST_TASK,
    PER_URL_LIMIT,
    SMALLEST_TASK,
    Task,
    entries_per_task,
    split_into_tasks,
    task_sizes,
)


def sizes(entries: int, max_concurrent: int = 4, requested: int | None = None) -> list[int]:
    return list(task_sizes(entries, requested=requested, max_concurrent=max_concurrent))


def test_few_entries_are_a_task_each():
    records = [Record(line, f"http://h/{line}/köln ü.jpg") for line in range(1, PER_URL_LIMIT + 1)]
    names = [task.name for task in split_into_tasks(records, sizes(len(records)))]
    assert len(names) == PER_URL_LIMIT
    assert names[0] == "line_1_k_ln_jpg"


@pytest.mark.parametrize("entries", [1, 25, 26, 100, 101, 1_000, 2_000, 10_000, 100_000])
@pytest.mark.parametrize("max_concurrent", [1, 2, 4, 8, 32])
def test_every_entry_is_in_a_task_of_permitted_size(entries: int, max_concurrent: int):
    found = sizes(entries, max_concurrent)
    assert sum(found) == entries
    assert min(found) > 0
    assert max(found) <= entries_per_task(entries, requested=None, max_concurrent=max_concurrent)
    assert max(found) <= LARGEST_TASK


def test_the_first_tasks_end_at_equal_intervals_and_the_last_ones_are_small():
    found = sizes(10_000, max_concurrent=3)  # of which two download
    largest = entries_per_task(10_000, requested=None, max_concurrent=3)
    assert found[:4] == [SMALLEST_TASK, SMALLEST_TASK + largest // 2, largest, largest]
    assert found[-1] <= largest // 2
    assert len(found) < 10_000 / largest + 4
    assert sizes(100_000, max_concurrent=8)[:6] == [50, 175, 300, 425, 500, 500]


def test_a_requested_task_size_is_used():
    records = [Record(line, "http://h/a") for line in range(1, 8)]
    assert entries_per_task(7, requested=3, max_concurrent=2) == 3
    assert [task.name for task in split_into_tasks(records, sizes(7, requested=3))] == [
        "lines_1_to_3",
        "lines_4_to_6",
        "line_7_a",
    ]


def test_the_rest_of_a_full_task_is_its_next_part():
    first = Task("lines_1_to_3", (Record(1, "http://h/1"),), rest=(Record(2, "http://h/2"), Record(3, "http://h/3")))
    second = first.next_part("lines_1_to_3")
    assert (second.name, second.part, second.records, second.rest) == ("lines_1_to_3_part_2", 2, first.rest, ())
    assert replace(second, rest=second.records[1:]).next_part("lines_1_to_3").name == "lines_1_to_3_part_3"
