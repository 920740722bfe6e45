"""Stores: opening, writing, deleting, and the texts of their errors."""

import hashlib
import os
import socket
from pathlib import Path

import pytest
from obstore.exceptions import BaseError, GenericError

from imgrelay_dagster.demo.seaweed import SeaweedFS
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.storage.addresses import absolute, split_object_address
from imgrelay_dagster.relay.storage.error_text import explain, is_disk_full
from imgrelay_dagster.relay.storage.objects import TRIES, delete_objects, put_object
from imgrelay_dagster.relay.storage.retry_policy import INTERACTIVE, RetryPolicy
from imgrelay_dagster.relay.storage.s3_settings import S3Settings
from imgrelay_dagster.relay.storage.stores import folder_of, open_store
from imgrelay_dagster.resources import StoresResource, build_resources
from tests.support.stored_files import Bucket


def test_a_missing_folder_is_created(tmp_path: Path):
    store = open_store(str(tmp_path / "new" / "out"))
    put_object(store, "a/b c/ü.jpg", b"123", "image/jpeg")
    assert (tmp_path / "new" / "out" / "a" / "b c" / "ü.jpg").read_bytes() == b"123"
    assert folder_of(store) == tmp_path / "new" / "out"


class DamagingStore:
    """A store that rejects its first objects as damaged."""

    def __init__(self, times: int, code: str) -> None:
        self.requests = 0
        self._times, self._code = times, code

    def put(self, key: str, data: bytes, **options: object) -> None:
        self.requests += 1
        if self.requests <= self._times:
            raise GenericError(f"status code: 400 Bad Request: <Error><Code>{self._code}</Code></Error>")


@pytest.mark.parametrize("code", ["BadDigest", "IncompleteBody", "XAmzContentSHA256Mismatch", "RequestTimeout"])
def test_a_damaged_object_is_sent_again(code: str):
    store = DamagingStore(TRIES - 1, code)
    put_object(store, "a.jpg", b"123", "image/jpeg")  # type: ignore[arg-type]
    assert store.requests == TRIES
    with pytest.raises(GenericError):
        put_object(DamagingStore(TRIES, code), "a.jpg", b"123", "image/jpeg")  # type: ignore[arg-type]


def test_a_rejected_object_is_not_sent_again():
    store = DamagingStore(1, "InvalidRequest")
    with pytest.raises(GenericError):
        put_object(store, "a.jpg", b"123", "image/jpeg")  # type: ignore[arg-type]
    assert store.requests == 1


def test_durable_objects_are_synced_to_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    synced: list[int] = []
    real = os.fsync

    def fsync(number: int) -> None:
        real(number)
        synced.append(os.fstat(number).st_ino)

    monkeypatch.setattr(os, "fsync", fsync)
    store = open_store(str(tmp_path))
    put_object(store, "a b/ü%20.jpg", b"123", "image/jpeg")
    put_object(store, "scratch", b"123", "image/jpeg", durable=False)
    assert synced == [(tmp_path / "a b" / "ü%20.jpg").stat().st_ino]


def test_deleting_ignores_missing_objects(tmp_path: Path):
    store = open_store(str(tmp_path))
    for key in ("a", "c"):
        put_object(store, key, b"1", "text/plain")
    delete_objects(store, ["a", "b", "c"])
    assert not [path for path in tmp_path.iterdir() if path.is_file()]


def test_each_address_and_policy_has_one_store_object(tmp_path: Path):
    assert open_store(str(tmp_path)) is open_store(str(tmp_path))
    assert open_store(str(tmp_path)) is not open_store(str(tmp_path), None, INTERACTIVE)


@pytest.mark.parametrize("address", ["s3://", "ftp://host/x", "nonsense://x"])
def test_an_address_that_cannot_be_opened_is_an_error(address: str):
    with pytest.raises(RelayError, match=r"cannot open|names no bucket"):
        open_store(address, S3Settings(unsigned=True))


def test_equal_addresses_have_the_same_normal_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert absolute("out") == absolute("./out/") == absolute(f"file://{tmp_path}/out") == str(tmp_path / "out")
    assert absolute("s3://bucket/prefix/") == "s3://bucket/prefix"


@pytest.mark.parametrize("prefix", ["run#1", "50%25/a%2Fb", "ä ~[x]*", "", "a=1/b+c"])
def test_special_characters_of_a_prefix_are_literal(seaweed: SeaweedFS, prefix: str, bucket: Bucket):
    settings = S3Settings(seaweed.endpoint, "x", seaweed.access_key, seaweed.secret_key)
    name = f"{hashlib.sha256(prefix.encode()).hexdigest()}.jpg"
    put_object(open_store(f"s3://{bucket.name}/{prefix}/", settings), name, b"image", "image/jpeg")
    assert bucket.objects() == {f"{prefix}/{name}".lstrip("/"): b"image"}


def test_an_object_address_is_split_after_its_bucket():
    assert split_object_address("s3://bucket/a/b c.txt") == ("s3://bucket", "a/b c.txt")
    with pytest.raises(RelayError, match="names no object"):
        split_object_address("s3://bucket")


def test_a_full_disk_is_distinguished_from_other_errors():
    assert is_disk_full(OSError(28, "No space left on device"))
    assert is_disk_full(RuntimeError("Generic LocalFileSystem error: No space left on device (os error 28)"))
    assert not is_disk_full(OSError(13, "Permission denied"))


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ("no such bucket", "{server} answers 404 Not Found (NoSuchBucket: The specified bucket does not exist)"),
        ("wrong secret", "{server} answers 403 Forbidden (SignatureDoesNotMatch: "),
        ("nobody listens", "http://127.0.0.1:1 cannot be reached: Connection refused"),
        ("no such host", "http://no-such-host.invalid cannot be reached: Name or service not known"),
        ("plain", "https://{host} cannot be reached: it does not speak TLS; write http in place of https"),
        ("silent", "{silent} cannot be reached: no answer in time"),
    ],
)
def test_errors_of_s3_are_plain_text(seaweed: SeaweedFS, monkeypatch: pytest.MonkeyPatch, case: str, expected: str):
    """Without the request's duration, the number of retries and the XML."""
    host = seaweed.endpoint.removeprefix("http://")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        names = {"server": seaweed.endpoint, "host": host, "silent": f"http://127.0.0.1:{silent.getsockname()[1]}"}
        endpoint = {
            "nobody listens": "http://127.0.0.1:1",
            "no such host": "http://no-such-host.invalid",
            "plain": f"https://{host}",
            "silent": names["silent"],
        }.get(case, seaweed.endpoint)
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", endpoint)
        secret = "x" * 30 if case == "wrong secret" else seaweed.secret_key
        s3 = S3Settings(endpoint_url=endpoint, access_key_id=seaweed.access_key, secret_access_key=secret)
        store = open_store("s3://nosuchbucket/x", s3, RetryPolicy(timeout=1.0, retries=1, retry_timeout=1.0))
        with pytest.raises((BaseError, OSError)) as caught:
            put_object(store, "a/b.jpg", b"123", "image/jpeg")
    text = explain(caught.value)
    assert text.startswith(expected.format(**names))
    assert "<" not in text


def test_errors_of_a_folder_are_plain_text(tmp_path: Path):
    (tmp_path / "a").write_text("")
    with pytest.raises(NotADirectoryError) as caught:
        put_object(open_store(str(tmp_path)), "a/b.jpg", b"123", "image/jpeg")
    assert explain(caught.value) == f"[Errno 20] Not a directory: '{tmp_path}/a/b.jpg'"


def test_errors_are_one_line_without_the_debug_dump():
    assert explain(RuntimeError("it broke\n here\n\nDebug source:\nGeneric {}")) == "it broke here"
    assert explain(RuntimeError()) == "RuntimeError"
    assert len(explain(RuntimeError("x" * 5000))) == 300


def test_an_empty_environment_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch, seaweed: SeaweedFS):
    for name, value in {**seaweed.environment(), "AWS_SESSION_TOKEN": "", "AWS_ENDPOINT_URL": ""}.items():
        monkeypatch.setenv(name, value)
    seaweed.create_bucket("empty-settings")
    stores = build_resources()["stores"]
    assert isinstance(stores, StoresResource)
    assert stores.open("s3://empty-settings/folder", INTERACTIVE).list().collect() == []
