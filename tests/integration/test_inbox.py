"""Which manifests of an inbox are due: exactly one run for each content of each file, whatever happens in between."""

import os
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.tags import RUN_KEY_TAG, SENSOR_NAME_TAG
from dagster_aws.s3 import S3Resource
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule
from obstore.store import ObjectStore

from imgrelay_dagster.automation import inbox as imgrelay_inbox
from imgrelay_dagster.definitions import relay_job
from imgrelay_dagster.defs import sensors
from imgrelay_dagster.demo.seaweed import SeaweedFS
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.manifest import inbox_files
from imgrelay_dagster.relay.manifest.inbox import InboxCursor, InboxScan, scan_inbox
from imgrelay_dagster.relay.manifest.inbox_files import InboxFile, list_inbox
from imgrelay_dagster.relay.storage.listing import Listed
from imgrelay_dagster.relay.storage.stores import INTERACTIVE
from imgrelay_dagster.resources import StoresResource
from tests.support.listed_bucket import ListedBucket

MOST = 3


def no_store(address: str) -> ObjectStore:
    raise AssertionError(address)


def no_list(address: str) -> Iterator[Listed]:
    raise AssertionError(address)


def see(files: list[InboxFile], cursor: InboxCursor, runs: set[str], *, whole: bool = False) -> InboxScan:
    def has_run(keys: list[str]) -> set[str]:
        assert len(keys) <= MOST
        return runs & set(keys)

    refused = {file.key for file in files if "outside" in file.address}
    return scan_inbox(
        files,
        cursor,
        most=MOST,
        has_run=has_run,
        refusal=lambda file: "lies outside" if file.key in refused else None,
        whole=whole,
    )


class InboxOverTime(RuleBasedStateMachine):
    """Files come, grow, are rewritten and go; looks are followed by runs, by some of them, or by a `kill -9`."""

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

    @rule(launched=st.integers(0, MOST), remembered=st.booleans())
    def look(self, launched: int = MOST, remembered: bool = True) -> None:
        """A look of whose runs only the first are made, and whose cursor may be lost with the daemon."""
        files = self.listing()
        found = see(files, self.cursor, set(self.runs))
        assert len(found.ready) <= MOST
        known = self.previous  # what the look before this one that was remembered has seen
        assert all(file.key in known for file in found.ready), "taken while it was still being written"
        for file in found.ready[:launched]:
            assert file.key not in self.runs, "a second run of the same content"
            self.runs.append(file.key)
        if remembered:
            self.cursor = InboxCursor.load(found.cursor.dump())
            self.previous = {file.key for file in files}

    @rule()
    def forget(self) -> None:
        """The cursor is reset in the UI."""
        self.cursor, self.previous = InboxCursor(), set()

    @invariant()
    def cursor_is_bounded(self) -> None:
        assert len(self.cursor.done | self.cursor.seen) <= len(self.previous)

    def teardown(self) -> None:
        for _ in range(2 + len(self.files) // MOST + 1):
            self.look()
        assert {file.key for file in self.listing()} <= set(self.runs), "a manifest was lost"
        found = see(self.listing(), self.cursor, set(self.runs))
        assert (found.ready, found.deferred, found.unstable) == ([], 0, [])
        assert found.handled == len(self.files)


InboxOverTime.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
test_exactly_one_run_for_each_content = InboxOverTime.TestCase


def test_whole_objects_are_due_at_once_the_longest_waiting_first():
    files = [InboxFile(f"s3://b/{n}.csv", "v", 100 - n) for n in range(8)]
    runs: set[str] = set()
    cursor, taken, held = InboxCursor(), [], []
    for _ in range(4):
        found = see(files, cursor, runs, whole=True)
        taken.append([file.address[7:] for file in found.ready])
        held.append(found.deferred)
        runs |= {file.key for file in found.ready}
        cursor = found.cursor
    assert taken == [["7.csv", "6.csv", "5.csv"], ["4.csv", "3.csv", "2.csv"], ["1.csv", "0.csv"], []]
    assert held == [5, 2, 0, 0]
    assert found.handled == 8


def test_a_foreign_file_is_told_of_once_and_not_in_a_look_that_ends_in_runs():
    foreign, manifest = InboxFile("x.pdf", "foreign", 0.0, "is no manifest"), InboxFile("a.csv", "v", 0.0)
    first = see([foreign, manifest], InboxCursor(), set(), whole=True)
    assert (first.ready, first.ignored) == ([manifest], [foreign])
    second = see([foreign, manifest], first.cursor, {manifest.key}, whole=True)
    assert (second.ready, second.ignored) == ([], [foreign])
    third = see([foreign, manifest], second.cursor, {manifest.key}, whole=True)
    assert (third.ready, third.ignored, third.handled) == ([], [], 1)


def test_a_refused_manifest_is_told_of_once_and_again_when_it_is_another():
    link = InboxFile("outside.csv", "v1", 0.0)
    first = see([link], InboxCursor(), set(), whole=True)
    assert [file.trouble for file in first.ignored] == ["lies outside"]
    second = see([link], first.cursor, set(), whole=True)
    assert (second.ready, second.ignored) == ([], [])
    assert see([replace(link, version="v2")], second.cursor, set(), whole=True).ignored


@pytest.mark.parametrize(
    "cursor", [None, "", "{", "1", '{"done": "?", "seen": ""}', '{"done": "AAAAAAA=", "seen": ""}']
)
def test_a_cursor_that_is_none_of_ours_is_as_good_as_none(cursor: str | None):
    files = [InboxFile("a.csv", "v", 0.0)]
    assert see(files, InboxCursor.load(cursor), set()).unstable == files


def test_the_memory_takes_eight_characters_a_file():
    cursor = InboxCursor(frozenset(InboxFile(f"{n}", "v", 0.0).mark for n in range(20_000)))
    assert len(cursor.dump()) < 8 * 20_000 + 30
    assert InboxCursor.load(cursor.dump()) == cursor


# Listing


def test_a_folder_is_listed_whatever_lies_in_it(tmp_path: Path):
    inbox = tmp_path / "inbox"
    good = ["birds.csv", "two words.TXT", "Vögel.jsonl", "a%20b#c?.ndjson", "tab\there.csv", "sub/deep/x.csv.gz"]
    for name in [*good, "readme.md", "half.csv.part", ".hidden.csv", ".git/x.csv", "_relay/birds/runs/1/failed.jsonl"]:
        path = inbox / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    (inbox / "dangling.csv").symlink_to(tmp_path / "none")
    (inbox / "loop").symlink_to(inbox)
    os.mkfifo(inbox / "pipe.csv")
    Path(os.fsdecode(os.fsencode(inbox) + b"/caf\xe9.csv")).write_text("x")
    files = {os.path.relpath(file.address, inbox): file for file in list_inbox(str(inbox), no_store, no_list)}
    assert sorted(name for name, file in files.items() if file.trouble is None) == sorted(good)
    assert {os.fsencode(name): file.trouble for name, file in files.items() if file.trouble} == {
        b"readme.md": "is no manifest",
        b"half.csv.part": "is no manifest",
        b"_relay/birds/runs/1/failed.jsonl": "lies below _relay/",
        b"dangling.csv": "leads nowhere",
        b"pipe.csv": "is no file",
        b"caf\xe9.csv": "has a name that is not UTF-8",
    }
    assert len({file.key for file in files.values()}) == len(files)


def test_a_files_content_is_told_by_size_and_time(tmp_path: Path):
    manifest = tmp_path / "birds.csv"
    manifest.write_text("url\n")
    os.utime(manifest, ns=(1, 10**18))
    (first,) = list_inbox(str(tmp_path), no_store, no_list)
    manifest.write_text("url\nhttp://h/1.jpg\n")
    os.utime(manifest, ns=(1, 10**18))
    (longer,) = list_inbox(str(tmp_path), no_store, no_list)
    os.utime(manifest, ns=(1, 10**18 + 1))
    (later,) = list_inbox(str(tmp_path), no_store, no_list)
    assert len({first.key, longer.key, later.key}) == 3


def test_an_inbox_that_is_not_there_or_too_full_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(RelayError, match="is no folder; make it"):
        list_inbox(str(tmp_path / "none"), no_store, no_list)
    for n in range(4):
        (tmp_path / f"{n}.csv").touch()
    monkeypatch.setattr(inbox_files, "MOST_FILES", 3)
    with pytest.raises(RelayError, match="holds more than 3 files; move away"):
        list_inbox(str(tmp_path), no_store, no_list)


def test_a_bucket_is_listed_with_names_of_any_kind(seaweed: SeaweedFS, monkeypatch: pytest.MonkeyPatch):
    for name, value in seaweed.environment().items():
        monkeypatch.setenv(name, value)
    seaweed.create_bucket("dropped")
    client = seaweed.client()
    good = ["birds.csv", "two words.txt", "Vögel.jsonl", "eu/birds.csv", "100% sure+.csv"]
    for name in [*good, "notes.pdf", "_relay/birds/runs/1/failed.jsonl", ".tmp/x.csv"]:
        client.put_object(Bucket="dropped", Key=f"inbox/{name}", Body=b"x")
    client.put_object(Bucket="dropped", Key="inbox-of-others/birds.csv", Body=b"x")
    client.put_object(Bucket="dropped", Key="inbox/folder/", Body=b"")
    stores = StoresResource(s3=S3Resource(endpoint_url=seaweed.endpoint), staging_address="staging")

    def listing() -> dict[str, InboxFile]:
        files = list_inbox("s3://dropped/inbox/", partial(stores.open, policy=INTERACTIVE), no_list)
        return {file.address.removeprefix("s3://dropped/inbox/"): file for file in files}

    first = listing()
    assert sorted(name for name, file in first.items() if file.trouble is None) == sorted(good)
    client.put_object(Bucket="dropped", Key="inbox/birds.csv", Body=b"y")
    again = listing()
    assert {name for name in first if first[name].key != again[name].key} == {"birds.csv"}
    with pytest.raises(RelayError, match="inbox 's3://no-such-bucket' cannot be listed"):
        list_inbox("s3://no-such-bucket", partial(stores.open, policy=INTERACTIVE), no_list)


def test_a_key_that_cannot_be_opened_is_told_of_and_holds_up_no_other(
    seaweed: SeaweedFS, monkeypatch: pytest.MonkeyPatch
):
    for name, value in seaweed.environment().items():
        monkeypatch.setenv(name, value)
    seaweed.create_bucket("odd-keys")
    stores = StoresResource(s3=S3Resource(endpoint_url=seaweed.endpoint), staging_address="staging")

    def put(name: str) -> None:
        seaweed.client().put_object(Bucket="odd-keys", Key=f"inbox/{name}", Body=b"x")

    for name in ("birds of prey.csv", "eu/Vögel.txt", "notes.pdf", ".hidden/x.csv"):
        put(name)
    before = list_inbox("s3://odd-keys/inbox", partial(stores.open, policy=INTERACTIVE), no_list)
    put("two\nlines.csv")
    put("folder/")
    (odd,) = set(
        after := list_inbox("s3://odd-keys/inbox", partial(stores.open, policy=INTERACTIVE), stores.list_any)
    ) - set(before)
    assert (odd.address, odd.trouble) == (
        "s3://odd-keys/inbox/two\nlines.csv",
        "has an empty part or a control character in its key",
    )
    assert [file for file in after if file != odd] == before  # none of them is taken for new content


def test_a_key_with_two_slashes_is_told_of_and_holds_up_no_other(monkeypatch: pytest.MonkeyPatch):
    """As Amazon's S3 lists them; SeaweedFS makes one slash of two."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    keys = ["inbox//first.csv", "inbox/birds.csv", "inbox/eu//birds.csv", "inbox/eu/birds.csv"]
    with ListedBucket(keys) as bucket:
        stores = StoresResource(s3=S3Resource(endpoint_url=bucket.url, region_name="x"), staging_address="staging")
        files = list_inbox("s3://odd/inbox", partial(stores.open, policy=INTERACTIVE), stores.list_any)
        assert [file.address for file in files if file.trouble is None] == [
            "s3://odd/inbox/birds.csv",
            "s3://odd/inbox/eu/birds.csv",
        ]
        assert {file.address for file in files if file.trouble} == {
            "s3://odd/inbox//first.csv",
            "s3://odd/inbox/eu//birds.csv",
        }
        found = see(files, InboxCursor(), set(), whole=True)
        assert [file.address for file in found.ready] == ["s3://odd/inbox/birds.csv", "s3://odd/inbox/eu/birds.csv"]
        assert len(see(files, found.cursor, {file.key for file in found.ready}, whole=True).ignored) == 2


# The sensor, on a real instance without its daemon


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test(temp_dir=str(tmp_path_factory.mktemp("home"))) as instance:
        yield instance


class Sensor:
    """Sensor `inbox`, evaluated as the daemon does."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self.cursor: str | None = None

    def tick(self) -> dg.SensorResult:
        stores = StoresResource(s3=S3Resource(), staging_address="staging")
        with dg.build_sensor_context(self.instance, cursor=self.cursor, resources={"stores": stores}) as context:
            result = sensors.inbox(context)
        assert isinstance(result, dg.SensorResult)
        self.cursor = result.cursor or self.cursor
        return result

    def make_runs(self, result: dg.SensorResult) -> None:
        for request in result.run_requests or []:
            tags = {**request.tags, RUN_KEY_TAG: request.run_key or "", SENSOR_NAME_TAG: "inbox"}
            run = self.instance.create_run_for_job(
                relay_job(), run_config=request.run_config, tags=tags, status=dg.DagsterRunStatus.STARTED
            )
            assert run.tags["imgrelay/manifest"]


@pytest.fixture
def inbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "in box"
    folder.mkdir()
    monkeypatch.setenv("IMGRELAY_INBOX", str(folder))
    return folder


def test_the_sensor_asks_for_a_run_of_each_manifest_and_says_what_it_does(instance: dg.DagsterInstance, inbox: Path):
    sensor = Sensor(instance)
    for name in ("birds of prey.csv", "Vögel.txt", "notes.pdf"):
        (inbox / name).write_text("url\n")
    said = sensor.tick().skip_reason
    assert said is not None
    assert said.skip_message == (
        "waiting for 2 manifests to stand still: Vögel.txt, birds of prey.csv; "
        "ignored from now on: notes.pdf (is no manifest)"
    )
    taken = sensor.tick()
    assert [(request.run_config, request.tags) for request in taken.run_requests or []] == [
        ({"manifest": f"{inbox}/{name}"}, {"imgrelay/manifest": f"{inbox}/{name}", "imgrelay/dataset": dataset})
        for name, dataset in (("birds of prey.csv", "birds-of-prey"), ("Vögel.txt", "V-gel"))
    ]
    sensor.make_runs(taken)
    said = sensor.tick().skip_reason
    assert said is not None
    assert said.skip_message == f"nothing new in {inbox}; 2 manifests handled"


def test_a_run_that_was_made_and_not_launched_is_asked_for_again(instance: dg.DagsterInstance, inbox: Path):
    sensor = Sensor(instance)
    (inbox / "stuck.csv").write_text("url\n")
    sensor.tick()
    (request,) = sensor.tick().run_requests or []
    tags = {RUN_KEY_TAG: request.run_key or "", SENSOR_NAME_TAG: "inbox"}
    run = instance.create_run_for_job(relay_job(), run_config=request.run_config, tags=tags)
    assert run.status is dg.DagsterRunStatus.NOT_STARTED
    assert [again.run_key for again in sensor.tick().run_requests or []] == [request.run_key]


def test_a_link_out_of_the_inbox_is_refused_and_the_others_go_on(
    instance: dg.DagsterInstance, inbox: Path, tmp_path: Path
):
    (tmp_path / "secret.csv").write_text("url\n")
    (inbox / "link.csv").symlink_to(tmp_path / "secret.csv")
    sensor = Sensor(instance)
    sensor.tick()
    said = sensor.tick().skip_reason
    assert said is not None
    assert "ignored from now on: link.csv (manifest " in str(said.skip_message)
    assert "lies outside what runs may use" in str(said.skip_message)
    (inbox / "birds.csv").write_text("url\n")
    sensor.tick()
    assert len(sensor.tick().run_requests or []) == 1


def test_a_flood_is_taken_in_bounded_pieces(instance: dg.DagsterInstance, inbox: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(imgrelay_inbox, "MOST_RUNS", 20)
    for n in range(50):
        (inbox / f"{n}.csv").write_text("url\n")
    sensor = Sensor(instance)
    sensor.tick()
    pieces = []
    while requests := (result := sensor.tick()).run_requests:
        pieces.append([request.run_config["manifest"] for request in requests])
        sensor.make_runs(result)
    assert [len(piece) for piece in pieces] == [20, 20, 10]
    assert {Path(address).name for piece in pieces for address in piece} == {f"{n}.csv" for n in range(50)}


def test_without_an_inbox_the_sensor_says_how_to_have_one(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("IMGRELAY_INBOX", raising=False)
    said = Sensor(instance).tick().skip_reason
    assert said is not None
    assert said.skip_message == "IMGRELAY_INBOX is not set; set it to a folder or s3://bucket/prefix"
