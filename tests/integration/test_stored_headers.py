"""What is stored with each image on S3: headers, metadata and tags, by line; records have their own."""

import json
from collections.abc import Callable
from pathlib import Path

from imgrelay_dagster.demo.origin import Origin
from imgrelay_dagster.demo.seaweed import SeaweedFS
from tests.conftest import Ran
from tests.support.s3_proxy import FaultyS3, Request
from tests.support.stored_files import Bucket

OBJECT = {
    "cache_control": "public, max-age=60, immutable",
    "content_disposition": 'inline; filename="{sku}.jpg"',
    "acl": "public-read",
    "storage_class": "STANDARD_IA",
    "metadata": {"team": "photos", "sku": "{sku}", "season": "{season}"},
    "tags": {"project": "spring 2027", "sku": "{sku}"},
    "provenance": True,
}


def test_each_image_has_its_own_headers_metadata_and_tags(
    seaweed: SeaweedFS, bucket: Bucket, origin: Origin, imgrelay: Callable[..., Ran], tmp_path: Path
) -> None:
    rows = [("A-1", "summer"), ("Ü 2", "")]
    lines = [f"{origin.url(f'jpeg/small-dawn.jpg?{sku[0]}')},{sku}.jpg,{sku},{season}" for sku, season in rows]
    (tmp_path / "shop.csv").write_text("url,key,sku,season\n" + "\n".join(lines))
    (tmp_path / "config.yaml").write_text(json.dumps({"object": OBJECT}))
    requests: list[Request] = []
    with FaultyS3(seaweed, requests.append) as proxy:  # no fault
        ran = imgrelay(
            *("run", "--manifest", tmp_path / "shop.csv", "--destination", f"s3://{bucket.name}/out"),
            *("--config", tmp_path / "config.yaml", "--json"),
            **proxy.environment(),
        )
    assert (ran.code, ran.summary["uploaded"]) == (0, 2), ran.err
    client, where = bucket.client, {"Bucket": bucket.name}
    for (_, season), sku in zip(rows, ("A-1", "Ü 2"), strict=True):
        encoded = sku.replace("Ü", "%C3%9C")
        head = client.head_object(**where, Key=f"out/{sku}.jpg")
        assert head["CacheControl"] == "public, max-age=60, immutable"
        assert head["ContentDisposition"] == f'inline; filename="{encoded}.jpg"'
        assert head["ContentType"] == "image/jpeg"
        assert head["StorageClass"] == "STANDARD_IA"
        metadata = head["Metadata"]
        assert metadata.pop("imgrelay-run") == ran.summary["run_id"]
        assert len(metadata.pop("imgrelay-source-sha256")) == 64
        assert metadata.pop("imgrelay-fingerprint")
        assert metadata == {"team": "photos", "sku": encoded, **({"season": season} if season else {})}
        tags = client.get_object_tagging(**where, Key=f"out/{sku}.jpg")["TagSet"]
        assert {tag["Key"]: tag["Value"] for tag in tags} == {"project": "spring 2027", "sku": sku}
    puts = [request for request in requests if request.method == "PUT"]
    images = {request.key for request in puts if request.headers.get("x-amz-acl") == "public-read"}
    assert images == {"out/A-1.jpg", "out/Ü 2.jpg"}
    results = client.head_object(**where, Key=f"out/_relay/shop/runs/{ran.summary['run_id']}/results.jsonl")
    assert results["CacheControl"] == "no-cache"
    assert results["Metadata"] == {}
    assert origin.url("") not in json.dumps([client.head_object(**where, Key=key) for key in images], default=str)
