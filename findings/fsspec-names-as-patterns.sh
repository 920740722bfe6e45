#!/usr/bin/env bash
# fsspec 2026.9.0: `fs.rm("images/photo[1].jpg")` deletes photo1.jpg, and leaves photo[1].jpg.
#
# The methods for several files (rm, mv, cp, get, cat) take patterns, those for one file do not. A name with brackets,
# as browsers give to a second download, or with a question mark, is a pattern too, also in a list of names and also if
# an object of just that name exists. `[1]` matches `1`: so a job that deletes, moves or fetches the objects of a list
# takes another product's picture, without an error, after `exists` and `open` have found the right one. `mv` moreover
# makes a folder of the new name. For local files, rm and mv take names as they are, so a test with a folder does not
# show it. What works: rm_file, cp_file, get_file and cat_file.
#
# Seen with fsspec 2026.9.0, Python 3.11 (photo1.jpg and photo[1].jpg are there before each line; s3fs does the same):
#
#   memory: open has photo[1].jpg, cat has photo1.jpg
#   memory: rm of photo[1].jpg leaves photo[1].jpg
#   memory: rm of a list with photo[1].jpg leaves photo[1].jpg
#   memory: rm_file of photo[1].jpg leaves photo1.jpg
#   memory: mv of photo[1].jpg to new.jpg leaves new.jpg/photo1.jpg, photo[1].jpg
#   file: open has photo[1].jpg, cat has photo1.jpg
#   file: rm of photo[1].jpg leaves photo1.jpg
#   file: rm of a list with photo[1].jpg leaves photo1.jpg
#   file: rm_file of photo[1].jpg leaves photo1.jpg
#   file: mv of photo[1].jpg to new.jpg leaves new.jpg, photo1.jpg
#
# Exits with 0 while this holds, and with 1 once it changes.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check fsspec==2026.9.0
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys

import fsspec


def tried(protocol, base):
    fs, name, lines = fsspec.filesystem(protocol), f"{base}/photo[1].jpg", []

    def fill():
        if fs.exists(base):
            fs.rm(base, recursive=True)
        fs.makedirs(base)
        for other in ("photo1.jpg", "photo[1].jpg"):
            fs.pipe_file(f"{base}/{other}", other.encode())

    def left(what, action):
        fill()
        action()
        lines.append(f"{what} leaves " + ", ".join(path.split("/images/")[1] for path in sorted(fs.find(base))))

    fill()
    with fs.open(name, "rb") as file:
        opened = file.read().decode()
    (read,) = fs.cat(name).values()
    lines.append(f"open has {opened}, cat has {read.decode()}")
    left("rm of photo[1].jpg", lambda: fs.rm(name))
    left("rm of a list with photo[1].jpg", lambda: fs.rm([name]))
    left("rm_file of photo[1].jpg", lambda: fs.rm_file(name))
    left("mv of photo[1].jpg to new.jpg", lambda: fs.mv(name, f"{base}/new.jpg"))
    for line in lines:
        print(f"{protocol}: {line}")
    return lines


memory, files = tried("memory", "/images"), tried("file", f"{sys.argv[1]}/images")
sys.exit(memory[0] != files[0] or memory != [
    "open has photo[1].jpg, cat has photo1.jpg",
    "rm of photo[1].jpg leaves photo[1].jpg",
    "rm of a list with photo[1].jpg leaves photo[1].jpg",
    "rm_file of photo[1].jpg leaves photo1.jpg",
    "mv of photo[1].jpg to new.jpg leaves new.jpg/photo1.jpg, photo[1].jpg",
])
PYTHON
