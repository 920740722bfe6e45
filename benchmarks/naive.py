"""The naive Dagster shape, to compare with: three steps for every URL, default executor, bytes by IO manager.

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


class Where(dg.Config):
    """What to relay, and to where."""

    manifest: str
    bucket: str
    prefix: str


@dg.op(out=dg.DynamicOut(str))
def urls(config: Where) -> Iterator[dg.DynamicOutput[str]]:
    """One output a URL."""
    for number, url in enumerate(Path(config.manifest).read_text().splitlines()):
        yield dg.DynamicOutput(url, mapping_key=str(number))


@dg.op
def download(url: str) -> bytes:
    """The image's bytes."""
    answer = requests.get(url, timeout=30)
    answer.raise_for_status()
    return answer.content


@dg.op
def compose(data: bytes) -> bytes:
    """The image with the frame over it."""
    image = Image.open(io.BytesIO(data)).convert("RGB")
    frame = Image.open(FRAME).convert("RGBA").resize(image.size)
    image.paste(frame, (0, 0), frame)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=85)
    return out.getvalue()


@dg.op
def upload(config: Where, data: bytes) -> str:
    """The key that the image was stored under."""
    key = f"{config.prefix}/{hashlib.sha256(data).hexdigest()}.jpg"
    boto3.client("s3").put_object(Bucket=config.bucket, Key=key, Body=data, ContentType="image/jpeg")
    return key


@dg.op
def count(keys: list[str]) -> None:
    """Say how many there are."""
    print(json.dumps({"uploaded": len(keys)}))


@dg.job
def naive() -> None:
    """One URL, one chain."""
    count(urls().map(lambda url: upload(compose(download(url)))).collect())


def main() -> None:
    """Run the job in the instance of DAGSTER_HOME."""
    where = dict(zip(("manifest", "bucket", "prefix"), sys.argv[1:], strict=True))
    config = {"ops": {name: {"config": where} for name in ("urls", "upload")}}
    with dg.DagsterInstance.get() as instance:
        result = dg.execute_job(dg.reconstructable(naive), instance=instance, run_config=config)
    sys.exit(not result.success)


if __name__ == "__main__":
    main()
