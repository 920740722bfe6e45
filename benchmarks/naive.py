"""A naive Dagster job, for comparison: three steps per URL, default executor, image bytes through the IO manager.

python -m benchmarks.naive MANIFEST BUCKET PREFIX
"""

import hashlib
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import boto3
import dagster as dg
import requests
from PIL import Image

FRAME = Path(__file__).parent.parent / "imgrelay_dagster" / "templates" / "frame.png"


class RelayConfig(dg.Config):
    """The manifest to relay, and its destination."""

    manifest: str
    bucket: str
    prefix: str


@dg.op(out=dg.DynamicOut(str))
def urls(config: RelayConfig) -> Iterator[dg.DynamicOutput[str]]:
    """Yield one output per URL."""
    for number, url in enumerate(Path(config.manifest).read_text().splitlines()):
        yield dg.DynamicOutput(url, mapping_key=str(number))


@dg.op
def download(url: str) -> bytes:
    """Return the image's bytes."""
    response = requests.get(url, timeout=30)
    response.raise_for_status()
    return response.content


@dg.op
def compose(data: bytes) -> bytes:
    """Return the image with the frame over it."""
    image = Image.open(io.BytesIO(data)).convert("RGB")
    frame = Image.open(FRAME).convert("RGBA").resize(image.size)
    image.paste(frame, (0, 0), frame)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=85)
    return out.getvalue()


@dg.op
def upload(config: RelayConfig, data: bytes) -> str:
    """Store the image and return its key."""
    key = f"{config.prefix}/{hashlib.sha256(data).hexdigest()}.jpg"
    boto3.client("s3").put_object(Bucket=config.bucket, Key=key, Body=data, ContentType="image/jpeg")
    return key


@dg.op
def count(keys: list[str]) -> None:
    """Print the number of images."""
    print(json.dumps({"uploaded": len(keys)}))


@dg.job
def naive() -> None:
    """Download, compose and upload each URL in steps of its own."""
    count(urls().map(lambda url: upload(compose(download(url)))).collect())


def main() -> None:
    """Run the job in the instance of DAGSTER_HOME."""
    op_config = dict(zip(("manifest", "bucket", "prefix"), sys.argv[1:], strict=True))
    config = {"ops": {name: {"config": op_config} for name in ("urls", "upload")}}
    with dg.DagsterInstance.get() as instance:
        result = dg.execute_job(dg.reconstructable(naive), instance=instance, run_config=config)
    sys.exit(not result.success)


if __name__ == "__main__":
    main()
