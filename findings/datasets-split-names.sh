#!/usr/bin/env bash
# datasets 5.2.0 (Hugging Face): one picture named toy-train.jpg in a folder, and `load_dataset` leaves out all others.
#
# A folder without folders for splits is one split, `train`, of all its files. But first each file's name is searched
# for the words train, test, validation, dev, eval and others, between separators. One name with such a word is enough
# for the folder to count as sorted into splits, and files that belong to no split are not part of the dataset. So a toy
# train, a test tube or a dev board among thousands of products replaces them all. With `train` in the name, also
# `split="train"` finds its split and returns that one picture, without an error or a warning. It is the same with
# folders (toys/train/1.jpg) and other formats, as with the shards of a table. What works: `data_files` with the split
# that is meant.
#
# Seen with datasets 5.2.0, Pillow 13.0.0, Python 3.11 (500 pictures shoe-N.jpg, and those named):
#
#   no other: train 500
#   and toy-train.jpg: train 1
#   and test-tube.jpg: test 1
#   and dev-board.jpg, toy-train.jpg: train 1, validation 1
#   and toys/train/1.jpg: train 1
#   and toy-train.jpg, by data_files: train 501
#
# Exits with 0 while this holds, and with 1 once the other pictures are in the dataset.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export HF_HOME="$folder/home" HF_HUB_OFFLINE=1
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check datasets==5.2.0 pillow==13.0.0
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import pathlib, sys

import datasets
from PIL import Image

datasets.disable_progress_bars()
found = []


def tried(number, names, by_files=False):
    folder = pathlib.Path(sys.argv[1]) / f"products-{number}"
    for name in [f"shoe-{index}.jpg" for index in range(500)] + names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(folder / name)
    where = {"data_files": {"train": [f"{folder}/**"]}} if by_files else {"data_dir": str(folder)}
    splits = datasets.load_dataset("imagefolder", **where)
    found.append(", ".join(f"{split} {rows.num_rows}" for split, rows in splits.items()))
    what = f"and {', '.join(names)}" if names else "no other"
    print(f"{what}{', by data_files' if by_files else ''}: {found[-1]}", flush=True)


tried(1, [])
tried(2, ["toy-train.jpg"])
tried(3, ["test-tube.jpg"])
tried(4, ["dev-board.jpg", "toy-train.jpg"])
tried(5, ["toys/train/1.jpg"])
tried(6, ["toy-train.jpg"], by_files=True)
sys.exit(found != ["train 500", "train 1", "test 1", "train 1, validation 1", "train 1", "train 501"])
PYTHON
