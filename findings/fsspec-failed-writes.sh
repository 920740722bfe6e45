#!/usr/bin/env bash
# fsspec 2026.9.0 (s3fs, obstore.fsspec): a write that fails inside `with fs.open(key, "wb")` replaces the object.
#
# An object store shows an object when its upload is complete, so one expects that an exception in the block leaves the
# old object. But leaving the block closes the file, and closing completes the upload with what was written so far. If
# `Image.save` raises before its first byte, as for a transparent picture as JPEG, an empty object takes the place of
# the old picture; if a download breaks, half a picture does. It is so by s3fs and by obstore's `FsspecStore`.
# `obstore.open_writer` aborts the upload instead. What works: encode into memory and `fs.pipe_file(key, data)`, or
# `open_writer`.
#
# Seen with fsspec 2026.9.0, s3fs 2026.9.0, obstore 0.12.1, Pillow 13.0.0, moto 5.2.5, Python 3.11 (a good picture of 17
# bytes stood there):
#
#   s3fs: Image.save failed, 0 bytes stored; a copy broke after 4 bytes, 4 bytes stored
#   obstore.fsspec: Image.save failed, 0 bytes stored; a copy broke after 4 bytes, 4 bytes stored
#   obstore.open_writer: Image.save failed, 17 bytes stored; a copy broke after 4 bytes, 17 bytes stored
#
# Exits with 0 while this holds, and with 1 once the old object is kept.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check fsspec==2026.9.0 s3fs==2026.9.0 obstore==0.12.1 \
    pillow==13.0.0 'moto[server,s3]==5.2.5'
"$folder/venv/bin/python" - 2>/dev/null <<'PYTHON'
import os, sys

for name in [name for name in os.environ if name.startswith("AWS_") or name.lower().endswith("_proxy")]:
    del os.environ[name]

import boto3
import obstore
import s3fs
from moto.server import ThreadedMotoServer
from obstore.fsspec import FsspecStore
from obstore.store import S3Store
from PIL import Image

OLD = b"good old picture!"
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
host, port = server.get_host_and_port()
url = f"http://127.0.0.1:{port}"
config = {"endpoint": url, "region": "us-east-1", "access_key_id": "key", "secret_access_key": "secret"}
options = {"allow_http": True}
boto3.client("s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id="key",
             aws_secret_access_key="secret").create_bucket(Bucket="images")
s3 = s3fs.S3FileSystem(key="key", secret="secret", endpoint_url=url, client_kwargs={"region_name": "us-east-1"})
store = S3Store("images", config=config, client_options=options)
fs = FsspecStore("s3", config=config, client_options=options)
WAYS = {
    "s3fs": lambda: s3.open("images/shoe.jpg", "wb"),
    "obstore.fsspec": lambda: fs.open("images/shoe.jpg", "wb"),
    "obstore.open_writer": lambda: obstore.open_writer(store, "shoe.jpg"),
}


def save(file):
    Image.new("RGBA", (8, 8)).save(file, "JPEG")  # cannot write mode RGBA as JPEG


def copy(file):
    file.write(b"half")
    raise ConnectionError


found = {}
for name, opened in WAYS.items():
    sizes = []
    for write in (save, copy):
        store.put("shoe.jpg", OLD)
        try:
            with opened() as file:
                write(file)
        except (OSError, ConnectionError):
            sizes.append(store.head("shoe.jpg")["size"])
    found[name] = tuple(sizes)
    print(f"{name}: Image.save failed, {sizes[0]} bytes stored; a copy broke after 4 bytes, {sizes[1]} bytes stored")
server.stop()
sys.exit(found != {"s3fs": (0, 4), "obstore.fsspec": (0, 4), "obstore.open_writer": (17, 17)})
PYTHON
