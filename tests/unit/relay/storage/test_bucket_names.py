"""Names of buckets that a scheme allows."""

import pytest

from imgrelay_dagster.relay.storage.bucket_names import find_bucket_problem

ALLOWED = [
    ("s3", "images"),
    ("s3", "my.bucket-1"),
    ("s3", "b" * 63),
    ("gs", "my_bucket.example.com"),
    ("az", "images-1"),
    ("az", "$web"),
]
REFUSED = [
    ("s3", ".."),
    ("s3", "ab"),
    ("s3", "Images"),
    ("s3", "my_bucket"),
    ("s3", "a..b"),
    ("s3", "-ab"),
    ("s3", "b" * 64),
    ("s3", "192.168.0.1"),
    ("gs", ".."),
    ("gs", "Images"),
    ("gs", "b" * 64),
    ("az", "a--b"),
    ("az", "my.container"),
    ("az", "c" * 64),
]


@pytest.mark.parametrize(("scheme", "bucket"), ALLOWED)
def test_allowed_names(scheme: str, bucket: str):
    assert find_bucket_problem(scheme, bucket) is None


@pytest.mark.parametrize(("scheme", "bucket"), REFUSED)
def test_refused_names(scheme: str, bucket: str):
    assert "3 to 63" in (find_bucket_problem(scheme, bucket) or "")
