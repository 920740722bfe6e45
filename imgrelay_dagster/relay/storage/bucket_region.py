"""The region of a bucket, which S3 names in a header of its answer even where it refuses the request."""

from urllib.parse import quote

import urllib3

TIMEOUT = urllib3.Timeout(connect=2.0, read=2.0)
"""Time limits of the request, in seconds."""


def bucket_region(endpoint: str | None, bucket: str) -> str | None:
    """Ask S3 for the region of a bucket by an unsigned request; None if it does not say.

    Args:
        endpoint: of an S3-compatible store; None for S3 itself.
    """
    url = f"{(endpoint or 'https://s3.amazonaws.com').rstrip('/')}/{quote(bucket)}"
    try:
        with urllib3.PoolManager(timeout=TIMEOUT, retries=False) as pool:
            answer = pool.request("HEAD", url, redirect=False)
            return answer.headers.get("x-amz-bucket-region")
    except urllib3.exceptions.HTTPError:
        return None
