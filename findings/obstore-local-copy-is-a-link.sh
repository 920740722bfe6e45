#!/usr/bin/env bash
# obstore 0.12.1: `LocalStore.copy` makes a hard link, so what changes one file in place changes its "copy" as well.
#
# Both names are one file until one of them is put anew. Tools that write into a file (Pillow's `save` to an existing
# path, `cp`, an editor that keeps the file) so also change the copy that was made to be safe. A copy has no time of its
# own. And two names that are one file already cannot be linked again: a second copy of the same pair, or a copy of an
# object to itself, leaves a file `NAME#0` behind, which the store neither lists nor deletes.
#
# Seen with obstore 0.12.1 (object_store 0.14.2), Pillow 13.0.0, Python 3.11, Linux:
#
#   photo.png saved anew in gray: the copy has mode L (it was RGB)
#   copied twice: the store lists ['copy.png', 'photo.png'], the folder has ['copy.png', 'copy.png#0', 'photo.png']
#   deleting copy.png#0: GenericError
#
# Exits with 0 while this holds, and with 1 once the copy is a file of its own.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check obstore==0.12.1 pillow==13.0.0
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import os, sys

from obstore.store import LocalStore
from PIL import Image

folder = sys.argv[1] + "/images"
os.mkdir(folder)
store = LocalStore(folder)
Image.new("RGB", (8, 8), "red").save(f"{folder}/photo.png")
store.copy("photo.png", "copy.png")
with Image.open(f"{folder}/photo.png") as image:
    gray = image.convert("L")
gray.save(f"{folder}/photo.png")
with Image.open(f"{folder}/copy.png") as image:
    mode = image.mode
print(f"photo.png saved anew in gray: the copy has mode {mode} (it was RGB)")
store.copy("photo.png", "copy.png")
listed, files = sorted(item["path"] for item in store.list().collect()), sorted(os.listdir(folder))
print(f"copied twice: the store lists {listed}, the folder has {files}")
try:
    store.delete("copy.png#0")
    answer = "ok"
except Exception as error:
    answer = type(error).__name__
print("deleting copy.png#0:", answer)
sys.exit(mode == "RGB")
PYTHON
