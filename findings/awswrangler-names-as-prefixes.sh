#!/usr/bin/env bash
# awswrangler 3.17.1: `s3.read_csv` of list.csv reads list.csv.bak, too, and `delete_objects` of 1.jpg takes 1.jpg.json.
#
# A path is a prefix, also if an object of just that name exists and if the name ends in .csv. So rows of an old copy
# beside a list, as editors and jobs leave them, are in the table a second time, without an error. Deleting the picture
# images/1.jpg deletes what is stored beside it as well, and images/1 all that begins with a 1. `size_objects` and
# `describe_objects` do the same. What works: a list with one path in it.
#
# Seen with awswrangler 3.17.1, moto 5.2.5, Python 3.11:
#
#   read_csv of list.csv: urls a.jpg, old.jpg
#   read_csv of a list with list.csv: urls a.jpg
#   delete_objects of images/1.jpg leaves images/10.jpg
#   delete_objects of images/1 leaves nothing
#   delete_objects of a list with images/1.jpg leaves images/1.jpg.json, images/10.jpg
#
# Exits with 0 while this holds, and with 1 once a name is one object.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check awswrangler==3.17.1 "moto[server]==5.2.5"
"$folder/venv/bin/python" - 2>/dev/null <<'PYTHON'
import os, sys

for name in [name for name in os.environ if name.lower().endswith("_proxy") or name.startswith("AWS_")]:
    del os.environ[name]
os.environ.update(AWS_ACCESS_KEY_ID="key", AWS_SECRET_ACCESS_KEY="secret", AWS_DEFAULT_REGION="us-east-1")
import awswrangler, boto3
from moto.server import ThreadedMotoServer

server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
host, port = server.get_host_and_port()
awswrangler.config.s3_endpoint_url = f"http://{host}:{port}"
client = boto3.client("s3", endpoint_url=f"http://{host}:{port}")
client.create_bucket(Bucket="products")
client.put_object(Bucket="products", Key="list.csv", Body=b"url\na.jpg\n")
client.put_object(Bucket="products", Key="list.csv.bak", Body=b"url\nold.jpg\n")
found = []


def read(path, what):
    urls = ", ".join(awswrangler.s3.read_csv(path)["url"])
    found.append(urls)
    print(f"read_csv of {what}: urls {urls}")


def delete(path, what):
    for key in ("images/1.jpg", "images/1.jpg.json", "images/10.jpg"):
        client.put_object(Bucket="products", Key=key, Body=b"1")
    awswrangler.s3.delete_objects(path)
    rest = client.list_objects_v2(Bucket="products", Prefix="images/").get("Contents", [])
    found.append(", ".join(item["Key"] for item in rest) or "nothing")
    print(f"delete_objects of {what} leaves {found[-1]}")


read("s3://products/list.csv", "list.csv")
read(["s3://products/list.csv"], "a list with list.csv")
delete("s3://products/images/1.jpg", "images/1.jpg")
delete("s3://products/images/1", "images/1")
delete(["s3://products/images/1.jpg"], "a list with images/1.jpg")
server.stop()
sys.exit(found != ["a.jpg, old.jpg", "a.jpg", "images/10.jpg", "nothing", "images/1.jpg.json, images/10.jpg"])
PYTHON
