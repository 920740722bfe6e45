"""S3-compatible stores that lack a feature are told apart from stores that do not work."""

from functools import partial

import pytest
from obstore.store import ObjectStore

from imgrelay_dagster.demo.seaweed import SeaweedFS
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.outcomes import Stage
from imgrelay_dagster.relay.planning.destination_check import DestinationFeatures, check_destination
from imgrelay_dagster.relay.records.dataset_lock import DatasetHeld, acquire_lock, lock_holder
from imgrelay_dagster.relay.settings import Settings
from imgrelay_dagster.relay.staging.scratch_space import Staging
from imgrelay_dagster.relay.storage.object_settings import ObjectSettings
from imgrelay_dagster.relay.storage.objects import delete_objects, put_object
from imgrelay_dagster.relay.storage.reading import CHUNK_SIZE, ObjectStream, read_chunks
from imgrelay_dagster.relay.storage.retry_policy import INTERACTIVE
from imgrelay_dagster.relay.storage.store_options import DEFAULT_OPTIONS, StoreOptions
from imgrelay_dagster.relay.storage.stores import open_store
from tests.support.s3_dialect import S3Dialect
from tests.support.stored_files import Bucket

NOTHING_STORED = ObjectSettings()


@pytest.fixture
def address(bucket: Bucket) -> str:
    bucket.objects()
    return f"s3://{bucket.name}/p"


def open_dialect(dialect: S3Dialect, address: str, options: StoreOptions = DEFAULT_OPTIONS) -> ObjectStore:
    return open_store(address, dialect.settings(), INTERACTIVE, options)


def check(
    dialect: S3Dialect,
    address: str,
    options: StoreOptions = DEFAULT_OPTIONS,
    stored: ObjectSettings = NOTHING_STORED,
) -> DestinationFeatures:
    opening = partial(open_dialect, dialect, address)
    return check_destination(opening, Settings("birds", address, store=options, object=stored), "run")


def test_a_store_with_every_feature(seaweed: SeaweedFS, address: str):
    with S3Dialect(seaweed) as dialect:
        assert check(dialect, address) == DestinationFeatures(DEFAULT_OPTIONS)
        assert not [path for path in open_dialect(dialect, address).list().collect() if path]


@pytest.mark.parametrize("status", [400, 501])
def test_checksums_are_left_out_where_they_are_refused(seaweed: SeaweedFS, address: str, status: int):
    with S3Dialect(seaweed, no_checksums=status) as dialect:
        features = check(dialect, address)
        assert features.options == StoreOptions(checksums=False)
        assert "AWS_REQUEST_CHECKSUM_CALCULATION=when_required" in features.notices[0]
        put_object(open_dialect(dialect, address, features.options), "a.jpg", b"123", "image/jpeg")


@pytest.mark.parametrize(
    ("refusal", "advice"),
    [((501, "NotImplemented"), "does not implement ListObjectsV2"), ((403, "AccessDenied"), "grant s3:ListBucket")],
)
def test_a_store_that_cannot_be_listed_is_refused_at_once(
    seaweed: SeaweedFS, address: str, refusal: tuple[int, str], advice: str
):
    with S3Dialect(seaweed, no_listing=refusal) as dialect:
        with pytest.raises(RelayError, match=f"takes objects but cannot be listed: .*{refusal[1]}.*{advice}"):
            check(dialect, address)
        assert dialect.seen["GET"] <= 1 + INTERACTIVE.retries
        dialect.no_listing = None
        assert not [path for path in open_dialect(dialect, address).list().collect() if path]


@pytest.mark.parametrize(
    ("header", "stored"),
    [
        ("x-amz-storage-class", ObjectSettings(storage_class="STANDARD_IA")),
        ("x-amz-tagging", ObjectSettings(tags={"project": "spring"})),
        ("x-amz-meta-team", ObjectSettings(metadata={"team": "photos"})),
    ],
)
def test_what_is_stored_with_images_is_tried_before_the_run(
    seaweed: SeaweedFS, address: str, header: str, stored: ObjectSettings
):
    with S3Dialect(seaweed, refused_header=header) as dialect:
        given = stored.given()[0]
        with pytest.raises(RelayError, match=rf"with each image \(object: {given}\): .*AccessDenied.*leave out"):
            check(dialect, address, stored=stored)
        assert check(dialect, address) == DestinationFeatures(DEFAULT_OPTIONS)
        dialect.refused_header = None
        assert check(dialect, address, stored=stored) == DestinationFeatures(DEFAULT_OPTIONS)
        assert not [path for path in open_dialect(dialect, address).list().collect() if path]


def test_values_that_depend_on_the_line_are_not_tried(seaweed: SeaweedFS, address: str):
    with S3Dialect(seaweed, refused_header="x-amz-storage-class") as dialect:
        check(dialect, address, stored=ObjectSettings(storage_class="{class}", metadata={"team": "photos"}))


def test_scratch_space_names_the_setting_that_leaves_checksums_out(seaweed: SeaweedFS, address: str):
    with S3Dialect(seaweed, no_checksums=400) as dialect:
        staging = Staging(open_dialect(dialect, address), "run")
        with pytest.raises(RelayError, match="set AWS_REQUEST_CHECKSUM_CALCULATION=when_required"):
            staging.put(staging.key("task", Stage.DOWNLOAD, "a"), b"1")


def test_the_lock_holds_without_conditional_writes(seaweed: SeaweedFS, address: str):
    with S3Dialect(seaweed, no_conditions=True) as dialect:
        features = check(dialect, address)
        assert not features.conditional_writes
        assert "lock is weaker" in features.notices[0]
        store, pauses = open_dialect(dialect, address), []
        lock = partial(acquire_lock, store, "birds", is_over=lambda _: False, conditional_writes=False)
        lock("first", pause=pauses.append)
        with pytest.raises(DatasetHeld, match="run first"):
            lock("second", pause=pauses.append)
        assert len(pauses) == 1
        held = lock_holder(store, "birds")
        assert held is not None
        assert held.run_id == "first"


def test_of_two_runs_that_write_the_lock_the_last_one_holds_it(seaweed: SeaweedFS, address: str):
    with S3Dialect(seaweed, no_conditions=True) as dialect:
        store = open_dialect(dialect, address)
        lock = partial(acquire_lock, store, "birds", is_over=lambda _: False, conditional_writes=False)

        def second_run_writes(_: float) -> None:
            delete_objects(store, ["_relay/birds/receipts/lock.json"])
            lock("second", pause=lambda _: None)

        with pytest.raises(DatasetHeld, match="run second"):
            lock("first", pause=second_run_writes)


def test_large_objects_are_read_whole_where_ranges_are_ignored(seaweed: SeaweedFS, address: str):
    data = bytes(range(256)) * (CHUNK_SIZE // 256 * 2 + 7)
    with S3Dialect(seaweed, no_ranges=True) as dialect:
        store = open_dialect(dialect, address)
        put_object(store, "large", data, "text/plain")
        chunks = list(read_chunks(store, "large", len(data)))
        assert b"".join(chunks) == data
        assert max(map(len, chunks)) <= CHUNK_SIZE
        stream = ObjectStream(store, "large")
        read = bytearray()
        while piece := stream.read(100_000):
            read += piece
        assert bytes(read) == data


def test_objects_are_deleted_one_by_one(seaweed: SeaweedFS, address: str):
    with S3Dialect(seaweed, no_bulk_delete=True) as dialect:
        store = open_dialect(dialect, address)
        for number in range(30):
            put_object(store, f"k{number}", b"1", "text/plain")
        delete_objects(store, ["missing", *(f"k{number}" for number in range(30))])
        assert store.list().collect() == []
        assert dialect.seen["POST"] == 0


def test_a_bucket_in_another_region_is_named(seaweed: SeaweedFS, address: str):
    with (
        S3Dialect(seaweed, elsewhere="eu-central-1") as dialect,
        pytest.raises(RelayError, match=r"the bucket is in another region \(eu-central-1\); set AWS_REGION=eu-central"),
    ):
        check(dialect, address)


def test_an_acl_that_the_bucket_demands_is_on_every_object(seaweed: SeaweedFS, address: str):
    owner = StoreOptions(acl="bucket-owner-full-control")
    with S3Dialect(seaweed, acl="bucket-owner-full-control") as dialect:
        with pytest.raises(RelayError, match=r"set object\.acl in the run config, or AWS_SERVER_SIDE_ENCRYPTION"):
            check(dialect, address)
        assert check(dialect, address, owner).options == owner
        store = open_dialect(dialect, address, owner)
        put_object(store, "a b/ü.jpg", b"123", "image/jpeg")
        assert [meta["path"] for meta in store.list().collect()] == ["a b/ü.jpg"]
        assert bytes(store.get_range("a b/ü.jpg", start=1, end=2)) == b"2"
        delete_objects(store, ["a b/ü.jpg"])
