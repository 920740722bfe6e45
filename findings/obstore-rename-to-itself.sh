#!/usr/bin/env bash
# obstore 0.12.1: `rename` of an object to its own name deletes it, on Azure and in MemoryStore, without an error.
#
# `rename` is a copy and then a deletion of the source. If both names are the same, nothing is left. Programs that clean
# up keys (`store.rename(key, cleaned(key))`) do that for every key that is clean already. Two names may be the same
# without looking so: obstore strips slashes at the ends, so `a/` is `a`. LocalStore keeps the object, and S3 refuses to
# copy an object to itself, so tests with a folder or S3 do not show it. With `overwrite=False` the object is kept, and
# AlreadyExistsError raised.
#
# Seen with obstore 0.12.1 (object_store 0.14.2), Azurite 3.37.0, Python 3.11:
#
#   LocalStore: no error, kept; with overwrite=False: AlreadyExistsError, kept
#   MemoryStore: no error, gone; with overwrite=False: AlreadyExistsError, kept
#   AzureStore: no error, gone; with overwrite=False: AlreadyExistsError, kept
#
# Exits with 0 while this holds, and with 1 once the object is kept. Needs Node.js and npm.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check obstore==0.12.1 azure-storage-blob==12.28.0
npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$folder" azurite@3.37.0 >/dev/null
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import pathlib, socket, subprocess, sys, time
from importlib import metadata

from azure.storage.blob import ContainerClient
from obstore.store import AzureStore, LocalStore, MemoryStore

folder = pathlib.Path(sys.argv[1])
account = "devstoreaccount1"
key = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="  # Azurite's, public
with socket.create_server(("127.0.0.1", 0)) as free:
    port = free.getsockname()[1]
url = f"http://127.0.0.1:{port}/{account}"
program = folder / "node_modules/azurite/dist/src/blob/main.js"
server = subprocess.Popen(
    ["node", program, "--blobHost", "127.0.0.1", "--blobPort", str(port), "--inMemoryPersistence",
     "--skipApiVersionCheck", "--silent", "--disableTelemetry"],
    cwd=folder, stdout=subprocess.DEVNULL,
)
try:
    limit = time.monotonic() + 60
    while True:
        try:
            ContainerClient(url, "images", credential=key, retry_total=0).create_container()
            break
        except Exception:
            if time.monotonic() > limit:
                raise
            time.sleep(0.5)
    (folder / "store").mkdir()
    azure = AzureStore("images", config={"account_name": account, "account_key": key, "endpoint": url},
                       client_options={"allow_http": True})
    print(f"obstore {metadata.version('obstore')}")
    found = []
    for store in (LocalStore(folder / "store"), MemoryStore(), azure):
        seen = []
        for options in ({}, {"overwrite": False}):
            store.put("shoe.jpg", b"picture")
            try:
                store.rename("shoe.jpg", "shoe.jpg", **options)
                answer = "no error"
            except Exception as error:
                answer = type(error).__name__
            seen.append(f"{answer}, {'kept' if store.list().collect() else 'gone'}")
        print(f"{type(store).__name__}: {seen[0]}; with overwrite=False: {seen[1]}")
        found.append(seen[0])
    sys.exit(found != ["no error, kept", "no error, gone", "no error, gone"])
finally:
    server.terminate()
    server.wait(20)
PYTHON
