"""Google Cloud Storage and Azure Blob Storage: everything that a run keeps in a store."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from obstore.store import ObjectStore

from imgrelay_dagster.config.azure_access import azure_access
from imgrelay_dagster.config.google_access import google_access
from imgrelay_dagster.demo.origin import Origin
from imgrelay_dagster.relay.planning.destination_check import DestinationFeatures, check_destination
from imgrelay_dagster.relay.records.dataset_lock import DatasetHeld, acquire_lock
from imgrelay_dagster.relay.settings import Settings
from imgrelay_dagster.relay.staging.scratch_space import Staging
from imgrelay_dagster.relay.storage.objects import delete_objects, put_object
from imgrelay_dagster.relay.storage.reading import CHUNK_SIZE, read_chunks
from imgrelay_dagster.relay.storage.store_options import DEFAULT_OPTIONS
from imgrelay_dagster.relay.storage.stores import open_store
from tests.conftest import Ran
from tests.support.azurite import Azurite
from tests.support.google_store import GoogleStore

BUCKET = "images"
NO_PROXY = {"HTTP_PROXY": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9", "NO_PROXY": "127.0.0.1"}
"""A proxy that does not exist, so that no test ever reaches a metadata service."""


@dataclass(frozen=True)
class Cloud:
    """A store, its scheme, and the variables that lead a client to it."""

    scheme: str
    environment: dict[str, str]

    def address(self, prefix: str) -> str:
        return f"{self.scheme}://{BUCKET}/{prefix}"

    def open(self, prefix: str) -> ObjectStore:
        access = google_access(self.environment) if self.scheme == "gs" else azure_access(self.environment)
        return open_store(self.address(prefix), access)


@pytest.fixture(scope="module")
def google() -> Iterator[GoogleStore]:
    with GoogleStore(BUCKET) as store:
        yield store


@pytest.fixture(scope="module")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    with Azurite(tmp_path_factory.mktemp("azurite")) as store:
        store.create_container(BUCKET)
        yield store


@pytest.fixture(params=["gs", "az"])
def cloud(request: pytest.FixtureRequest) -> Cloud:
    if request.param == "gs":
        google: GoogleStore = request.getfixturevalue("google")
        return Cloud("gs", google.environment())
    azurite: Azurite = request.getfixturevalue("azurite")
    return Cloud("az", {"AZURE_STORAGE_CONNECTION_STRING": azurite.connection_string()})


@pytest.mark.parametrize("prefix", ["run#1", "50%25/a%2Fb", "ä ~[x]*"])
def test_special_characters_of_a_prefix_are_literal(cloud: Cloud, prefix: str):
    put_object(cloud.open(prefix), "ü b.jpg", b"123", "image/jpeg")
    listed = [meta["path"] for meta in cloud.open("").list(prefix).collect()]
    assert listed == [f"{prefix}/ü b.jpg"]


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


def test_a_whole_run(cloud: Cloud, origin: Origin, imgrelay: Callable[..., Ran], tmp_path: Path):
    """Manifest, destination and staging in the store; launched again, nothing is left to do."""
    store = cloud.open(f"whole-{cloud.scheme}")
    put_object(store, "lists/birds.txt", "\n".join(origin.many(6)).encode(), "text/plain")
    root = cloud.address(f"whole-{cloud.scheme}")
    config = tmp_path / "config.yaml"
    stored = {"cache_control": "max-age=60", "metadata": {"team": "a"}, "provenance": True}
    config.write_text(json.dumps({"object": stored}))
    arguments = ("run", "--manifest", f"{root}/lists/birds.txt", "--destination", f"{root}/out", "--json")
    environment = {**cloud.environment, **NO_PROXY, "IMGRELAY_STAGING": f"{root}/staging"}
    ran = imgrelay(*arguments, "--config", config, "--urls-per-task", "3", **environment)
    assert (ran.code, ran.summary["uploaded"]) == (0, 6), ran.err
    keys = [meta["path"] for meta in store.list("out").collect()]
    images = [key for key in keys if not key.startswith("out/_relay/")]
    assert len(images) == 6
    attributes = store.get(images[0]).attributes
    separator = "_" if cloud.scheme == "az" else "-"
    assert attributes["Cache-Control"] == "max-age=60"
    assert attributes["Content-Type"] == "image/jpeg"
    assert attributes["team"] == "a"
    assert attributes[f"imgrelay{separator}run"] == ran.summary["run_id"]
    assert len(attributes[f"imgrelay{separator}source{separator}sha256"]) == 64
    results = f"out/_relay/birds/runs/{ran.summary['run_id']}/results.jsonl"
    assert store.get(results).attributes["Cache-Control"] == "no-cache"
    assert store.list("staging").collect() == []
    again = imgrelay(*arguments, **environment)
    assert (again.code, again.summary["unchanged"]) == (0, 6), again.err
