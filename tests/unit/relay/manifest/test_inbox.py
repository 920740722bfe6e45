"""Which manifests of an inbox are ready: exactly one run for each content of each file, whatever happens in between."""

from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from imgrelay_dagster.relay.manifest.inbox import InboxCursor
from imgrelay_dagster.relay.manifest.inbox_files import InboxFile
from tests.support.inbox import LIMIT, scan


class InboxOverTime(RuleBasedStateMachine):
    """Files are added, rewritten and deleted; all, some or none of the requested runs are created."""

    paths = Bundle("paths")

    def __init__(self) -> None:
        super().__init__()
        self.files: dict[str, int] = {}
        self.clock = 0
        self.cursor = InboxCursor()
        self.runs: list[str] = []
        self.previous: set[str] = set()

    def listing(self) -> list[InboxFile]:
        return [InboxFile(path, f"v{version}", version) for path, version in sorted(self.files.items())]

    @rule(target=paths, name=st.sampled_from("abcdefgh"))
    def drop(self, name: str) -> str:
        self.clock += 1
        self.files[name] = self.clock
        return name

    @rule(path=paths)
    def delete(self, path: str) -> None:
        self.files.pop(path, None)

    @rule(launched=st.integers(0, LIMIT), kept=st.booleans())
    def tick(self, launched: int = LIMIT, kept: bool = True) -> None:
        """A scan; only the first `launched` of its runs are created, and its cursor may be lost with the daemon."""
        files = self.listing()
        result = scan(files, self.cursor, set(self.runs))
        assert len(result.ready) <= LIMIT
        # `previous` are the files of the last scan whose cursor was kept.
        assert all(file.key in self.previous for file in result.ready), "taken while it was still being written"
        for file in result.ready[:launched]:
            assert file.key not in self.runs, "a second run of the same content"
            self.runs.append(file.key)
        if kept:
            self.cursor = InboxCursor.load(result.cursor.dump())
            self.previous = {file.key for file in files}

    @rule()
    def reset_cursor(self) -> None:
        """Somebody resets the cursor in the UI."""
        self.cursor, self.previous = InboxCursor(), set()

    @invariant()
    def cursor_is_bounded(self) -> None:
        assert len(self.cursor.done | self.cursor.seen) <= len(self.previous)

    def teardown(self) -> None:
        for _ in range(2 + len(self.files) // LIMIT + 1):
            self.tick()
        assert {file.key for file in self.listing()} <= set(self.runs), "a manifest was lost"
        result = scan(self.listing(), self.cursor, set(self.runs))
        assert (result.ready, result.deferred, result.unstable) == ([], 0, [])
        assert result.handled == len(self.files)


InboxOverTime.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
test_exactly_one_run_for_each_content = InboxOverTime.TestCase


def test_objects_are_ready_at_once_oldest_first():
    files = [InboxFile(f"s3://b/{n}.csv", "v", 100 - n) for n in range(8)]
    runs: set[str] = set()
    cursor, taken, deferred = InboxCursor(), [], []
    for _ in range(4):
        result = scan(files, cursor, runs, atomic=True)
        taken.append([file.address[7:] for file in result.ready])
        deferred.append(result.deferred)
        runs |= {file.key for file in result.ready}
        cursor = result.cursor
    assert taken == [["7.csv", "6.csv", "5.csv"], ["4.csv", "3.csv", "2.csv"], ["1.csv", "0.csv"], []]
    assert deferred == [5, 2, 0, 0]
    assert result.handled == 8


def test_a_foreign_file_is_reported_once_by_a_scan_without_runs():
    foreign, manifest = InboxFile("x.pdf", "foreign", 0.0, "is not a manifest"), InboxFile("a.csv", "v", 0.0)
    first = scan([foreign, manifest], InboxCursor(), set(), atomic=True)
    assert (first.ready, first.ignored) == ([manifest], [foreign])
    second = scan([foreign, manifest], first.cursor, {manifest.key}, atomic=True)
    assert (second.ready, second.ignored) == ([], [foreign])
    third = scan([foreign, manifest], second.cursor, {manifest.key}, atomic=True)
    assert (third.ready, third.ignored, third.handled) == ([], [], 1)


def test_a_refused_manifest_is_reported_once_for_each_version():
    link = InboxFile("outside.csv", "v1", 0.0)
    first = scan([link], InboxCursor(), set(), atomic=True)
    assert [file.error for file in first.ignored] == ["lies outside"]
    second = scan([link], first.cursor, set(), atomic=True)
    assert (second.ready, second.ignored) == ([], [])
    assert scan([replace(link, version="v2")], second.cursor, set(), atomic=True).ignored


@pytest.mark.parametrize(
    "cursor", [None, "", "{", "1", '{"done": "?", "seen": ""}', '{"done": "AAAAAAA=", "seen": ""}']
)
def test_an_invalid_cursor_counts_as_empty(cursor: str | None):
    files = [InboxFile("a.csv", "v", 0.0)]
    assert scan(files, InboxCursor.load(cursor), set()).unstable == files


def test_the_cursor_takes_eight_characters_per_file():
    cursor = InboxCursor(frozenset(InboxFile(f"{n}", "v", 0.0).digest for n in range(20_000)))
    assert len(cursor.dump()) < 8 * 20_000 + 30
    assert InboxCursor.load(cursor.dump()) == cursor
