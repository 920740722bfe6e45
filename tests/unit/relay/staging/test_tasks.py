"""The number, the sizes and the names of tasks."""

import pytest

from imgrelay_dagster.relay.outcomes import Record
from imgrelay_dagster.relay.staging.tasks import (
    LARGEST_TASK,
    LARGEST_TASK_BYTES,
    PER_URL_LIMIT,
    SMALLEST_TASK,
    entries_per_task,
    split_into_tasks,
    task_sizes,
)


def sizes(entries: int, max_concurrent: int = 4, requested: int | None = None, image_bytes: float = 0.0) -> list[int]:
    return list(task_sizes(entries, requested=requested, max_concurrent=max_concurrent, image_bytes=image_bytes))


def test_few_entries_are_a_task_each():
    records = [Record(line, f"http://h/{line}/köln ü.jpg") for line in range(1, PER_URL_LIMIT + 1)]
    names = [task.name for task in split_into_tasks(records, sizes(len(records)))]
    assert len(names) == PER_URL_LIMIT
    assert names[0] == "line_1_k_ln_jpg"


@pytest.mark.parametrize("entries", [1, 25, 26, 100, 101, 1_000, 2_000, 10_000, 100_000])
@pytest.mark.parametrize("max_concurrent", [1, 2, 4, 8, 32])
@pytest.mark.parametrize("image_bytes", [0.0, 1_700_000.0])
def test_every_entry_is_in_a_task_of_permitted_size(entries: int, max_concurrent: int, image_bytes: float):
    found = sizes(entries, max_concurrent, image_bytes=image_bytes)
    assert sum(found) == entries
    assert min(found) > 0
    assert max(found) <= entries_per_task(
        entries, requested=None, max_concurrent=max_concurrent, image_bytes=image_bytes
    )
    assert max(found) <= LARGEST_TASK
    if image_bytes:
        assert max(found) * image_bytes <= LARGEST_TASK_BYTES


def test_tasks_grow_from_small_ones_and_shrink_at_the_end():
    found = sizes(10_000)
    assert found[:5] == [SMALLEST_TASK, 100, 200, 400, LARGEST_TASK]
    assert found[-1] <= LARGEST_TASK // 2
    assert len(found) < 10_000 / LARGEST_TASK + 6


def test_a_requested_task_size_is_used():
    records = [Record(line, "http://h/a") for line in range(1, 8)]
    assert entries_per_task(7, requested=3, max_concurrent=2) == 3
    assert [task.name for task in split_into_tasks(records, sizes(7, requested=3))] == [
        "lines_1_to_3",
        "lines_4_to_6",
        "line_7_a",
    ]


def test_images_larger_than_a_task_are_a_task_each():
    assert set(sizes(100, image_bytes=2.0 * LARGEST_TASK_BYTES)) == {1}
