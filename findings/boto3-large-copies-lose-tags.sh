#!/usr/bin/env bash
# boto3 1.44.5 (s3transfer 0.19.3): `copy` loses an object's tags from 8 MiB on, while it keeps all its headers.
#
# Below the multipart threshold S3 itself copies the object, by default with headers, metadata and tags. Above it, the
# client copies part by part. Since s3transfer 0.18 that keeps the headers and metadata too, and since 0.19 it can keep
# tags, so one expects the same result for both. But without a directive a copy in parts leaves the tags out, without
# an error or a warning. Tags choose what a lifecycle rule deletes and what a policy lets partners read: so the large
# pictures of a shop stay for ever, or cannot be read, and the small ones are fine. What works:
# `ExtraArgs={"TaggingDirective": "COPY"}`, which needs the right to read and to set tags.
#
# Seen with boto3 1.44.5, s3transfer 0.19.3, moto 5.2.5, Python 3.11:
#
#   7 MiB: image/tiff, max-age=60, {'sku': 'A-1'}, tags ['expires']
#   9 MiB: image/tiff, max-age=60, {'sku': 'A-1'}, tags []
#   9 MiB with TaggingDirective COPY: image/tiff, max-age=60, {'sku': 'A-1'}, tags ['expires']
#
# Exits with 0 while this holds, and with 1 once it changes.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check boto3==1.44.5 s3transfer==0.19.3 \
    'moto[server,s3]==5.2.5'
"$folder/venv/bin/python" - 2>/dev/null <<'PYTHON'
import io, os, sys

for name in [name for name in os.environ if name.startswith("AWS_") or name.lower().endswith("_proxy")]:
    del os.environ[name]

import boto3
from moto.server import ThreadedMotoServer

server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
host, port = server.get_host_and_port()
s3 = boto3.client("s3", endpoint_url=f"http://{host}:{port}", region_name="us-east-1", aws_access_key_id="key",
                  aws_secret_access_key="secret")
s3.create_bucket(Bucket="images")
stored = {"ContentType": "image/tiff", "CacheControl": "max-age=60", "Metadata": {"sku": "A-1"},
          "Tagging": "expires=soon"}
found = []
for size, options in ((7, {}), (9, {}), (9, {"TaggingDirective": "COPY"})):
    s3.upload_fileobj(io.BytesIO(bytes(size << 20)), "images", "shoe.tif", ExtraArgs=stored)
    s3.copy({"Bucket": "images", "Key": "shoe.tif"}, "images", "copy.tif", ExtraArgs=options)
    head = s3.head_object(Bucket="images", Key="copy.tif")
    tags = [tag["Key"] for tag in s3.get_object_tagging(Bucket="images", Key="copy.tif")["TagSet"]]
    kept = (head["ContentType"], head.get("CacheControl"), head["Metadata"])
    how = " with TaggingDirective COPY" if options else ""
    print(f"{size} MiB{how}: {kept[0]}, {kept[1]}, {kept[2]}, tags {tags}")
    found.append((kept == ("image/tiff", "max-age=60", {"sku": "A-1"}), tags))
server.stop()
sys.exit(found != [(True, ["expires"]), (True, []), (True, ["expires"])])
PYTHON
