"""Settings of S3 that are environment variables: what the requests then carry, and where they go."""

import base64
import hashlib
import re
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from obstore.exceptions import BaseError

from imgrelay_dagster.config import s3_access as access_module
from imgrelay_dagster.config.s3_access import s3_access, s3_resource
from imgrelay_dagster.demo.origin import Origin
from imgrelay_dagster.demo.seaweed import SeaweedFS
from imgrelay_dagster.relay.storage.objects import put_object
from imgrelay_dagster.relay.storage.reading import CHUNK_SIZE, read_chunks
from imgrelay_dagster.relay.storage.retry_policy import RetryPolicy
from imgrelay_dagster.relay.storage.stores import open_store
from imgrelay_dagster.resources import StoresResource
from tests.conftest import Ran
from tests.support.recording_server import Recorded, RecordingServer
from tests.support.s3_proxy import FaultyS3, Request
from tests.support.stored_files import Bucket

KEY = bytes(range(32))
SSE_S3 = {"AWS_SERVER_SIDE_ENCRYPTION": "AES256"}
SSE_C = {"AWS_SERVER_SIDE_ENCRYPTION": "sse-c", "AWS_SSE_CUSTOMER_KEY_BASE64": base64.b64encode(KEY).decode()}
SSE_KMS = {"AWS_SERVER_SIDE_ENCRYPTION": "aws:kms", "AWS_SSE_KMS_KEY_ID": "images-key"}
CUSTOMER_HEADERS = {
    "x-amz-server-side-encryption-customer-algorithm": "AES256",
    "x-amz-server-side-encryption-customer-key": base64.b64encode(KEY).decode(),
    "x-amz-server-side-encryption-customer-key-md5": base64.b64encode(
        hashlib.md5(KEY, usedforsecurity=False).digest()
    ).decode(),
}
ONE_TRY = RetryPolicy(timeout=4.0, connect_timeout=2.0, retries=0, retry_timeout=1.0)


HEADERS = {
    "AES256": {"x-amz-server-side-encryption": "AES256"},
    "aws:kms": {
        "x-amz-server-side-encryption": "aws:kms",
        "x-amz-server-side-encryption-aws-kms-key-id": "images-key",
    },
    "sse-c": CUSTOMER_HEADERS,
}


@pytest.mark.parametrize("variables", [SSE_S3, SSE_KMS, SSE_C], ids=["SSE-S3", "SSE-KMS", "SSE-C"])
def test_a_run_is_encrypted(
    seaweed: SeaweedFS,
    bucket: Bucket,
    origin: Origin,
    imgrelay: Callable[..., Ran],
    tmp_path: Path,
    variables: dict[str, str],
):
    """Images, results and scratch space are written encrypted, and read again; SeaweedFS really encrypts them."""
    requests: list[Request] = []
    (tmp_path / "birds.txt").write_text("\n".join(origin.many(4)))
    with FaultyS3(seaweed, requests.append) as proxy:  # no fault
        environment = {**proxy.environment(), **variables, "IMGRELAY_STAGING": f"s3://{bucket.name}/staging"}
        address = f"s3://{bucket.name}/out"
        options = ("--manifest", tmp_path / "birds.txt", "--destination", address, "--json")
        ran = imgrelay("run", *options, **environment)
        assert (ran.code, ran.summary["uploaded"]) == (0, 4), ran.err
        assert imgrelay("run", *options, **environment).summary["unchanged"] == 4
        assert imgrelay("verify", "--read", "--destination", address, **environment).code == 0
    algorithm = variables["AWS_SERVER_SIDE_ENCRYPTION"]
    names = HEADERS[algorithm]
    puts = [request for request in requests if request.method == "PUT"]
    assert {request.key.partition("/")[0] for request in puts} == {"out", "staging"}
    reads = [request for request in requests if request.method in ("GET", "HEAD") and "list-type" not in request.query]
    assert {request.key.rpartition("/")[2] for request in puts} >= {"results.jsonl", "report.html", "summary.json"}
    for request in puts + (reads if variables is SSE_C else []):
        assert {name: request.headers.get(name) for name in names} == names, request.key
    keys = bucket.client.list_objects_v2(Bucket=bucket.name)["Contents"]
    for item in keys:
        if variables is SSE_C:
            with pytest.raises(
                bucket.client.exceptions.ClientError, match=r"InvalidRequest|InvalidArgument|AccessDenied"
            ):
                bucket.client.get_object(Bucket=bucket.name, Key=item["Key"])
        else:
            found = bucket.client.head_object(Bucket=bucket.name, Key=item["Key"])
            assert found["ServerSideEncryption"] == algorithm
            assert found.get("SSEKMSKeyId") == variables.get("AWS_SSE_KMS_KEY_ID")


def test_a_large_object_is_written_in_parts_with_a_key_of_the_customer(
    seaweed: SeaweedFS, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for name, value in {**seaweed.environment(), **SSE_C}.items():
        monkeypatch.setenv(name, value)
    data = bytes(range(256)) * (12 * CHUNK_SIZE // 256) + b"end"
    (tmp_path / "large").write_bytes(data)
    store = open_store(f"s3://{bucket.name}/parts", s3_access(s3_resource()), ONE_TRY)
    put_object(store, "large", tmp_path / "large", "text/plain")
    assert b"".join(read_chunks(store, "large", len(data))) == data


def put_with(
    monkeypatch: pytest.MonkeyPatch, server: RecordingServer, variables: dict[str, str], *, through: bool = False
) -> Recorded:
    """Store an object with these variables; return the request. `through`: the server is a proxy."""
    keys = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_REGION": "eu-west-1"}
    proxies = {"HTTP_PROXY": server.endpoint, "HTTPS_PROXY": server.endpoint, "NO_PROXY": "unused"}
    where = proxies if through else {"AWS_ENDPOINT_URL_S3": server.endpoint}
    for name, value in {**keys, **where, **variables}.items():
        monkeypatch.setenv(name, value)
        monkeypatch.setenv(name.lower() if name in proxies else name, value)
    open_store.cache_clear()
    store = open_store("s3://images/p", s3_access(s3_resource()), ONE_TRY)
    try:
        put_object(store, "a.jpg", b"123", "image/jpeg")
    except BaseError:
        assert server.requests[-1].method == "CONNECT"
    return server.requests[-1]


@pytest.mark.parametrize(
    ("variables", "headers"),
    [
        (
            {"AWS_SERVER_SIDE_ENCRYPTION": "aws:kms", "AWS_SSE_KMS_KEY_ID": "k", "AWS_SSE_BUCKET_KEY_ENABLED": "true"},
            {
                "x-amz-server-side-encryption": "aws:kms",
                "x-amz-server-side-encryption-aws-kms-key-id": "k",
                "x-amz-server-side-encryption-bucket-key-enabled": "true",
            },
        ),
        (
            {"AWS_SERVER_SIDE_ENCRYPTION": "aws:kms:dsse", "AWS_SSE_KMS_KEY_ID": "k"},
            {"x-amz-server-side-encryption": "aws:kms:dsse", "x-amz-server-side-encryption-aws-kms-key-id": "k"},
        ),
        ({"AWS_REQUEST_PAYER": "true"}, {"x-amz-request-payer": "requester"}),
        ({"AWS_UNSIGNED_PAYLOAD": "true"}, {"x-amz-content-sha256": "UNSIGNED-PAYLOAD"}),
        ({"AWS_REQUEST_CHECKSUM_CALCULATION": "when_required"}, {"x-amz-checksum-sha256": None}),
        ({}, {"x-amz-checksum-sha256": base64.b64encode(hashlib.sha256(b"123").digest()).decode()}),
        ({"AWS_SESSION_TOKEN": "t"}, {"x-amz-security-token": "t"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else None,
)
def test_requests_carry_what_the_variables_ask_for(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], headers: dict[str, str | None]
):
    with RecordingServer() as server:
        request = put_with(monkeypatch, server, variables)
    assert (request.method, request.target) == ("PUT", "/images/p/a.jpg")
    assert {name: request.headers.get(name) for name in headers} == headers


@pytest.mark.parametrize(
    ("variables", "target"),
    [
        (
            {"AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "true", "AWS_ENDPOINT_URL_S3": "http://oss.example:8333"},
            "http://images.oss.example:8333/p/a.jpg",
        ),
        ({"AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "true"}, "images.s3.eu-west-1.amazonaws.com:443"),
        ({"AWS_USE_FIPS_ENDPOINT": "true"}, "s3-fips.eu-west-1.amazonaws.com:443"),
        (
            {"AWS_USE_FIPS_ENDPOINT": "true", "AWS_USE_DUALSTACK_ENDPOINT": "true"},
            "s3-fips.dualstack.eu-west-1.amazonaws.com:443",
        ),
        ({"AWS_USE_DUALSTACK_ENDPOINT": "true"}, "s3.dualstack.eu-west-1.amazonaws.com:443"),
        ({}, "s3.eu-west-1.amazonaws.com:443"),
    ],
)
def test_requests_go_where_the_variables_say(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], target: str):
    with RecordingServer() as server:
        assert put_with(monkeypatch, server, variables, through=True).target == target


def test_the_requester_also_pays_for_listings_by_boto3(monkeypatch: pytest.MonkeyPatch):
    with RecordingServer() as server:
        put_with(monkeypatch, server, {"AWS_REQUEST_PAYER": "true"})
        stores = StoresResource(s3=s3_resource(), staging_address="staging")
        assert list(stores.list_any("s3://images/p")) == []
        assert server.requests[-1].target.startswith("/images?list-type=2")
        assert server.requests[-1].headers["x-amz-request-payer"] == "requester"


ROLE = """\
import json, pathlib, time
count = pathlib.Path(__file__).with_suffix(".count")
count.write_text(count.read_text() + "x" if count.exists() else "x")
ends = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 120))
keys = {"AccessKeyId": f"KEY{len(count.read_text())}", "SecretAccessKey": "s", "SessionToken": "t"}
print(json.dumps({"Version": 1, **keys, "Expiration": ends}))
"""
"""A credential process whose credentials last two minutes, which is less than obstore would use any for by itself."""


def test_temporary_credentials_are_renewed_before_they_expire(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "role.py").write_text(ROLE)
    (tmp_path / "config").write_text(f"[profile role]\ncredential_process = {sys.executable} {tmp_path}/role.py\n")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_PROFILE", "role")
    # obstore asks again five minutes before the end that it is told: here after one second, not after a minute.
    monkeypatch.setattr(access_module, "CREDENTIALS_TTL", timedelta(minutes=5, seconds=1))
    monkeypatch.setattr(access_module, "spare_sessions", [])
    with RecordingServer() as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.endpoint)
        store = open_store("s3://images/role", s3_access(s3_resource()), ONE_TRY)
        used = []
        for _ in range(2):
            put_object(store, "a.jpg", b"1", "image/jpeg")
            put_object(store, "b.jpg", b"1", "image/jpeg")
            used.append(
                [
                    re.findall(r"Credential=(\w+)/", request.headers["authorization"])[0]
                    for request in server.requests[-2:]
                ]
            )
            time.sleep(1.2)
    (first, same), (second, _) = used
    assert first == same
    assert second != first
