#!/usr/bin/env bash
# webdataset 1.0.2: samples written with the keys "bottle-1.5l" and "bottle-1.75l" are read back as one sample.
#
# ShardWriter takes any key and writes the file KEY.FIELD. Reading takes a name apart at its first dot: what is before
# it, is the key, and files in a row with the same key are one sample. So of products, versions or file names with a dot
# in them, those in a row become one, with fields such as "5l.jpg" instead of "jpg". A count of samples is too small,
# and what asks each sample for `jpg`, with a default or a handler that goes on, finds none. A key that begins with a
# dot is not read at all. The writer says nothing, and counts what it was given. What works: keys without dots.
#
# Seen with webdataset 1.0.2, Python 3.11:
#
#   wrote 4 samples, by the writer's count 4; read 2:
#   bottle-1: 5l.jpg, 5l.json, 75l.jpg, 75l.json
#   bottle-2l: jpg, json
#   not read: .5l-bottle
#
# Exits with 0 while this holds, and with 1 once the samples are read as they were written, or refused.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check webdataset==1.0.2
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys

import webdataset

KEYS = ["bottle-1.5l", "bottle-1.75l", "bottle-2l", ".5l-bottle"]
with webdataset.ShardWriter(f"{sys.argv[1]}/%06d.tar", verbose=0) as writer:
    for key in KEYS:
        writer.write({"__key__": key, "jpg": key.encode(), "json": {"key": key}})
    counted = writer.total
samples = list(webdataset.WebDataset(f"{sys.argv[1]}/000000.tar", shardshuffle=False))
print(f"wrote {len(KEYS)} samples, by the writer's count {counted}; read {len(samples)}:")
lines, read = [], set()
for sample in samples:
    fields = {name: data for name, data in sample.items() if not name.startswith("__")}
    read |= {data.decode() for name, data in fields.items() if name.endswith("jpg")}
    lines.append(f"{sample['__key__']}: {', '.join(sorted(fields))}")
lines.append(f"not read: {', '.join(sorted(set(KEYS) - read))}")
print("\n".join(lines))
sys.exit((counted, lines) != (4, [
    "bottle-1: 5l.jpg, 5l.json, 75l.jpg, 75l.json", "bottle-2l: jpg, json", "not read: .5l-bottle",
]))
PYTHON
