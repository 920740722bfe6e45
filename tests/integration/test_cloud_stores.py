"""Google Cloud Storage and Azure Blob Storage: everything that a run keeps in a store."""

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from urllib.parse import unquote

import dagster as dg
import pytest
from dagster._core.events import DagsterEventType

from imgrelay_dagster.automation.daily_manifests import find_and_record
from imgrelay_dagster.cli import main
from imgrelay_dagster.demo.origin import Origin
from imgrelay_dagster.relay.errors import RelayError, StoreFailure
from imgrelay_dagster.relay.imaging.template_folder import SHIPPED_FOLDER, TemplateFolder
from imgrelay_dagster.relay.manifest.inbox_files import list_inbox
from imgrelay_dagster.relay.planning.destination_check import DestinationFeatures, check_destination
from imgrelay_dagster.relay.records.dataset_lock import DatasetHeld, acquire_lock
from imgrelay_dagster.relay.settings import Settings
from imgrelay_dagster.relay.staging.scratch_space import Staging
from imgrelay_dagster.relay.storage.listing import object_sizes
from imgrelay_dagster.relay.storage.objects import delete_objects, put_object
from imgrelay_dagster.relay.storage.reading import CHUNK_SIZE, read_chunks
from imgrelay_dagster.relay.storage.retry_policy import PROBE
from imgrelay_dagster.relay.storage.store_options import DEFAULT_OPTIONS
from imgrelay_dagster.relay.storage.stored_files import StoredFiles
from imgrelay_dagster.resources import StoresResource, build_resources
from imgrelay_dagster.runs.tags import MANIFEST_TAG, VERSION_TAG
from tests.conftest import Ran
from tests.support.azurite import Azurite
from tests.support.clouds import SCHEMES, Cloud, start_cloud
from tests.support.day_manifests import DAY, create_run, scan
from tests.support.inbox import Sensor, no_list
from tests.support.s3_proxy import Fault, FaultyS3, Request

OWN = {
    "gs": {"acl": "public-read", "storage_class": "NEARLINE"},
    "az": {"tags": {"project": "spring 2027"}, "storage_class": "Cool"},
}
"""What a run of `test_a_whole_run` sets for its images, in the way of each store; as the store then has it:"""

STORED = {
    "gs": {"x-goog-acl": "public-read", "x-goog-storage-class": "NEARLINE"},
    "az": {"x-ms-tag-count": "1", "x-ms-access-tier": "Cool"},
}

BROKEN = Fault(answer=(500, "InternalError"))


@pytest.fixture(scope="module", params=SCHEMES)
def cloud(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with start_cloud(request.param, tmp_path_factory.mktemp("cloud")) as started:
        yield started


@pytest.fixture
def served(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> StoresResource:
    """The stores of a Dagster instance that is set up for the cloud."""
    for name in [name for name in os.environ if name.startswith("IMGRELAY_")]:
        monkeypatch.delenv(name)
    for name, value in cloud.environment.items():
        monkeypatch.setenv(name, value)
    stores = build_resources()["stores"]
    assert isinstance(stores, StoresResource)
    return stores


@pytest.mark.parametrize("prefix", ["run#1", "50%25/a%2Fb", "ä ~[x]*"])
def test_special_characters_of_a_prefix_are_literal(cloud: Cloud, prefix: str):
    put_object(cloud.open(prefix), "ü b.jpg", b"123", "image/jpeg")
    listed = [meta["path"] for meta in cloud.open("").list(prefix).collect()]
    assert listed == [f"{prefix}/ü b.jpg"]


EMPTY = (
    *(
        "GOOGLE_SERVICE_ACCOUNT",
        "GOOGLE_SERVICE_ACCOUNT_KEY",
        "GOOGLE_APPLICATION_CREDENTIALS",
        "GOOGLE_SKIP_SIGNATURE",
    ),
    *("AZURE_STORAGE_ACCOUNT", "AZURE_STORAGE_KEY", "AZURE_STORAGE_SAS_TOKEN", "AZURE_CLIENT_ID", "AZURE_TENANT_ID"),
    *("AZURE_CLIENT_SECRET", "AZURE_FEDERATED_TOKEN_FILE", "AZURE_USE_AZURE_CLI", "AZURE_STORAGE_USE_EMULATOR"),
)


def test_empty_variables_count_as_unset(cloud: Cloud, monkeypatch: pytest.MonkeyPatch):
    for name, value in {**dict.fromkeys(EMPTY, ""), **cloud.environment}.items():
        monkeypatch.setenv(name, value)
    stores = build_resources()["stores"]
    assert isinstance(stores, StoresResource)
    store = stores.open(cloud.address("empty"))
    put_object(store, "a.jpg", b"123", "image/jpeg")
    assert bytes(store.get("a.jpg").bytes()) == b"123"
    assert "images" in repr(store)


def test_all_objects_are_deleted_although_the_first_is_missing(cloud: Cloud):
    store = cloud.open("deleting")
    keys = [f"k{number:03}" for number in range(300)]
    for key in keys:
        store.put(key, b"1")
    delete_objects(store, ["a-missing-one", *keys])
    assert store.list().collect() == []


def test_the_check_finds_every_feature_and_leaves_nothing(cloud: Cloud):
    settings = Settings("birds", cloud.address("check"))
    features = check_destination(lambda _: cloud.open("check"), settings, "run")
    assert features == DestinationFeatures(DEFAULT_OPTIONS)
    assert cloud.open("check").list().collect() == []


def test_one_run_holds_the_lock(cloud: Cloud):
    lock = partial(acquire_lock, cloud.open("lock"), "birds", is_over=lambda _: False)
    lock("first")
    with pytest.raises(DatasetHeld, match="run first"):
        lock("second")


def test_large_objects_are_written_in_parts_and_read_in_pieces(cloud: Cloud, tmp_path: Path):
    data = bytes(range(256)) * (25_000)
    (tmp_path / "large").write_bytes(data)
    store = cloud.open("large")
    put_object(store, "large", tmp_path / "large", "text/plain")
    assert b"".join(read_chunks(store, "large", len(data))) == data
    assert len(data) > 5 * CHUNK_SIZE


def test_staging_is_cleared(cloud: Cloud):
    staging = Staging(cloud.open("staging"), "run")
    with staging.open_writer("run/task/download/a") as stream:
        stream.write(b"x" * 6_000_000)
    staging.put_note("note", b"1")
    assert staging.claim("once")
    assert not staging.claim("once")
    staging.clear()
    assert cloud.open("staging").list().collect() == []


def test_a_whole_run(
    cloud: Cloud, origin: Origin, imgrelay: Callable[..., Ran], served: StoresResource, tmp_path: Path
):
    """Manifest, template, destination and staging in the store; launched again, nothing is left to do."""
    store = cloud.open(f"whole-{cloud.scheme}")
    put_object(store, "lists/birds.txt", "\n".join(origin.many(6)).encode(), "text/plain")
    root = cloud.address(f"whole-{cloud.scheme}")
    config = tmp_path / "config.yaml"
    disposition = {"cache_control": "max-age=60", "content_disposition": "inline"}
    stored = {**disposition, "metadata": {"team": "a"}, "provenance": True, **OWN[cloud.scheme]}
    config.write_text(json.dumps({"object": stored}))
    arguments = ("run", "--manifest", f"{root}/lists/birds.txt", "--destination", f"{root}/out", "--json")
    environment = {**cloud.environment, "IMGRELAY_STAGING": f"{root}/staging"}
    environment["IMGRELAY_TEMPLATES"] = f"{root}/templates"
    put_object(store, "templates/mark.png", (SHIPPED_FOLDER / "frame.png").read_bytes(), "image/png")
    lacking = imgrelay(*arguments, **environment)
    assert lacking.code == 2
    assert f"template 'frame.png' not found in {root}/templates; it holds mark.png" in lacking.err
    arguments = (*arguments, "--template", "mark.png")
    ran = imgrelay(*arguments, "--config", config, "--urls-per-task", "3", **environment)
    assert (ran.code, ran.summary["uploaded"]) == (0, 6), ran.err
    keys = [meta["path"] for meta in store.list("out").collect()]
    images = [key for key in keys if not key.startswith("out/_relay/")]
    assert len(images) == 6
    attributes = store.get(images[0]).attributes
    separator = "_" if cloud.scheme == "az" else "-"
    assert attributes["Cache-Control"] == "max-age=60"
    assert attributes["Content-Disposition"] == "inline"
    assert attributes["Content-Type"] == "image/jpeg"
    headers = cloud.headers_of(f"whole-{cloud.scheme}/{images[0]}")
    assert {name: headers.get(name) for name in STORED[cloud.scheme]} == STORED[cloud.scheme]
    assert attributes["team"] == "a"
    assert attributes[f"imgrelay{separator}run"] == ran.summary["run_id"]
    assert len(attributes[f"imgrelay{separator}source{separator}sha256"]) == 64
    results = f"out/_relay/birds/runs/{ran.summary['run_id']}/results.jsonl"
    assert store.get(results).attributes["Cache-Control"] == "no-cache"
    assert store.list("staging").collect() == []
    again = imgrelay(*arguments, **environment)
    assert (again.code, again.summary["unchanged"]) == (0, 6), again.err
    put_object(store, "templates/mark.png", (SHIPPED_FOLDER / "badge.png").read_bytes(), "image/png")
    changed = imgrelay(*arguments, **environment)
    assert (changed.code, changed.summary["uploaded"]) == (0, 6), changed.err
    assert main(["verify", "--read", "--destination", f"{root}/out"]) == 0
    assert main(["prune", "--yes", "--destination", f"{root}/out"]) == 0
    delete_objects(store, [images[0]])
    assert main(["verify", "--destination", f"{root}/out"]) == 1


def test_templates_are_read_once_and_an_outage_is_no_verdict_on_them(cloud: Cloud):
    frame = (SHIPPED_FOLDER / "frame.png").read_bytes()
    put_object(cloud.open("templates"), "frame.png", frame, "image/png")
    put_object(cloud.open("templates"), "sub/frame.png", frame, "image/png")
    broken = [True]
    fault = lambda _: BROKEN if broken[0] else None  # noqa: E731
    with FaultyS3(cloud.server, fault) as proxy:
        there = Cloud(cloud.scheme, proxy.environment(), cloud.server)
        folder = TemplateFolder(StoredFiles(there.address("templates"), lambda _: there.open("templates", PROBE)))
        with pytest.raises(StoreFailure, match=r"cannot be read: .* answers 500 .*; IMGRELAY_TEMPLATES sets it"):
            folder.load("frame.png")
        broken[0] = False
        assert folder.load("frame.png").digest == hashlib.sha256(frame).hexdigest()
        before = proxy.seen.total()
        assert folder.load("frame.png") is folder.load("frame.png")
        assert proxy.seen.total() == before
        for name in ("sub/frame.png", "../templates/frame.png", "", ".."):
            with pytest.raises(RelayError, match=r"not found in .*; it holds frame\.png$"):
                folder.load(name)


def test_the_inbox(cloud: Cloud, served: StoresResource, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("IMGRELAY_INBOX", cloud.address("inbox"))
    store = cloud.open("inbox")
    for name in ("birds of prey.csv", "eu/Vögel.txt", "notes.pdf", ".hidden/x.csv", "_relay/birds/failed.jsonl"):
        put_object(store, name, b"url\n", "text/plain")
    with dg.DagsterInstance.ephemeral() as instance:
        sensor = Sensor(instance)
        first = sensor.tick()
        addresses = [cloud.address(f"inbox/{name}") for name in ("birds of prey.csv", "eu/Vögel.txt")]
        assert sorted(request.run_config["manifest"] for request in first.run_requests or []) == addresses
        sensor.create_runs(first)
        assert sensor.tick().run_requests == []
        put_object(store, "birds of prey.csv", b"url\nhttp://h/a.jpg\n", "text/plain")
        again = sensor.tick()
        assert [request.run_config["manifest"] for request in again.run_requests or []] == addresses[:1]


def test_names_that_cannot_be_opened_do_not_stop_a_listing(
    cloud: Cloud, served: StoresResource, monkeypatch: pytest.MonkeyPatch
):
    store = cloud.open("odd")
    for number in range(3):
        put_object(store, f"in/ü + {number}.csv", b"url\n", "text/plain")
    before = list_inbox(cloud.address("odd/in"), served.open, no_list)
    for name in ("//first.csv", "/eu//birds.csv", "/two\nlines.csv" if cloud.scheme == "gs" else "/z//x.csv"):
        cloud.put_empty(f"odd/in{name}")
    after = list_inbox(cloud.address("odd/in"), served.open, served.list_any)
    assert [file for file in after if file.error is None] == before
    assert len({file.address for file in after if file.error}) == 3
    sizes = dict(object_sizes(store, partial(served.list_any, cloud.address("odd"))))
    assert {name: size for name, size in sizes.items() if size} == {f"in/ü + {number}.csv": 4 for number in range(3)}
    if isinstance(cloud.server, Azurite):
        for variables in (cloud.server.sas_environment(), cloud.server.emulator_environment()):
            monkeypatch.delenv("AZURE_STORAGE_CONNECTION_STRING")
            for name, value in variables.items():
                monkeypatch.setenv(name, value)
            assert {item.path: item.size for item in served.list_any(cloud.address("odd"))} == sizes
            assert bytes(served.open(cloud.address("odd")).get("in/ü + 1.csv").bytes()) == b"url\n"


def test_daily_and_late_manifests(cloud: Cloud, served: StoresResource, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("IMGRELAY_MANIFESTS", cloud.address("daily"))
    store = cloud.open("daily")
    with dg.DagsterInstance.ephemeral() as instance:
        assert scan(instance, served).notes == []
        assert find_and_record(instance, DAY, served) is None
        put_object(store, f"{DAY}.jsonl.gz", b"one", "application/gzip")
        found = find_and_record(instance, DAY, served)
        assert found is not None
        assert found.address == cloud.address(f"daily/{DAY}.jsonl.gz")
        (request,) = scan(instance, served).requests
        assert request.tags[MANIFEST_TAG] == found.address
        create_run(instance, request, DagsterEventType.RUN_START, DagsterEventType.RUN_SUCCESS)
        assert scan(instance, served).requests == []
        put_object(store, f"{DAY}.jsonl.gz", b"two", "application/gzip")
        (again,) = scan(instance, served).requests
        assert again.tags[VERSION_TAG] != request.tags[VERSION_TAG]


def test_a_run_whose_notes_cannot_be_stored_ends_well(
    cloud: Cloud, origin: Origin, imgrelay: Callable[..., Ran], tmp_path: Path
):
    """Notes, claims and what is known about hosts make a run faster or show its progress; no run depends on them."""

    def fault_for(request: Request) -> Fault | None:
        folders = {"notes", "claims", "hosts"}
        return None if folders.isdisjoint(re.split("[/&]", f"{request.key}&{unquote(request.query)}")) else BROKEN

    root = cloud.address(f"halting-{cloud.scheme}")
    manifest = tmp_path / "birds.txt"
    manifest.write_text("\n".join(origin.many(6)))
    with FaultyS3(cloud.server, fault_for) as proxy:
        environment = {**cloud.environment, **proxy.environment(), "IMGRELAY_STAGING": f"{root}/staging"}
        arguments = ("run", "--manifest", manifest, "--destination", f"{root}/out", "--urls-per-task", "3", "--json")
        ran = imgrelay(*arguments, **environment)
        assert (ran.code, ran.summary["uploaded"]) == (0, 6), ran.err
        assert proxy.struck[BROKEN] > 3
    assert cloud.open(f"halting-{cloud.scheme}").list("staging").collect() == []
