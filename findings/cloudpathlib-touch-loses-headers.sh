#!/usr/bin/env bash
# cloudpathlib 0.26.0: `touch` of a picture in S3 takes its Content-Type and Cache-Control away, and keeps its metadata.
#
# The time of an object cannot be set, so `touch` copies the object over itself. S3 allows that only if something
# changes, and cloudpathlib asks it to replace the metadata and gives the old ones again. Replacing also applies to the
# headers, and those are not given again. So a picture that a job touches, as to keep it from a rule that deletes old
# ones, becomes binary/octet-stream: browsers offer to save it instead of showing it, and caches no longer know how long
# to keep it. A picture that is stored compressed loses its Content-Encoding so, and is no picture any more. `rename`
# and `copy` keep all headers.
#
# Seen with cloudpathlib 0.26.0, moto 5.2.5, Python 3.11:
#
#   put: image/svg+xml, gzip, max-age=3600, {'sku': '1'}
#   copy to another name: image/svg+xml, gzip, max-age=3600, {'sku': '1'}
#   rename: image/svg+xml, gzip, max-age=3600, {'sku': '1'}
#   touch: binary/octet-stream, None, None, {'sku': '1'}
#
# Exits with 0 while this holds, and with 1 once the headers are kept.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "cloudpathlib[s3]==0.26.0" "moto[server]==5.2.5"
"$folder/venv/bin/python" - 2>/dev/null <<'PYTHON'
import gzip, os, sys

for name in [name for name in os.environ if name.lower().endswith("_proxy") or name.startswith("AWS_")]:
    del os.environ[name]
os.environ.update(AWS_ACCESS_KEY_ID="key", AWS_SECRET_ACCESS_KEY="secret", AWS_DEFAULT_REGION="us-east-1")
import boto3, cloudpathlib
from moto.server import ThreadedMotoServer

server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
host, port = server.get_host_and_port()
client = boto3.client("s3", endpoint_url=f"http://{host}:{port}")
client.create_bucket(Bucket="products")
paths = cloudpathlib.S3Client(endpoint_url=f"http://{host}:{port}")
picture, other = (paths.CloudPath(f"s3://products/{name}.svg") for name in ("picture", "other"))
found = {}


def tried(what, action, key="picture.svg"):
    client.put_object(
        Bucket="products", Key="picture.svg", Body=gzip.compress(b"<svg/>"), ContentType="image/svg+xml",
        ContentEncoding="gzip", CacheControl="max-age=3600", Metadata={"sku": "1"},
    )
    action()
    head = client.head_object(Bucket="products", Key=key)
    headers = [head.get(name) for name in ("ContentType", "ContentEncoding", "CacheControl", "Metadata")]
    found[what] = headers
    print(f"{what}: {', '.join(map(str, headers))}")


tried("put", lambda: None)
tried("copy to another name", lambda: picture.copy(other), "other.svg")
other.unlink()
tried("rename", lambda: picture.rename(other), "other.svg")
tried("touch", picture.touch)
server.stop()
sys.exit(found["touch"] != ["binary/octet-stream", None, None, {"sku": "1"}] or found["rename"] != found["put"])
PYTHON
