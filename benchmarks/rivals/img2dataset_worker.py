"""Runs img2dataset on a manifest, in its own environment, and prints how many pictures it stored.

python img2dataset_worker.py MANIFEST FOLDER ENTRIES PROCESSES THREADS

Each process has THREADS threads that download. The pictures keep their size and are encoded with imgrelay's quality.
"""

import json
import math
import sys
from pathlib import Path

from img2dataset import download

SHARDS_PER_PROCESS = 2
"""A shard is the work of one process. With the default of 10,000 entries in each, one process would do everything."""


def main() -> None:
    """Relay the manifest, and sum up the counts of all shards."""
    manifest, folder = map(Path, sys.argv[1:3])
    entries, processes, threads = map(int, sys.argv[3:])
    download(
        url_list=str(manifest),
        output_folder=str(folder),
        output_format="files",
        resize_mode="no",
        encode_format="jpg",
        encode_quality=85,
        extract_exif=False,
        processes_count=processes,
        thread_count=threads,
        number_sample_per_shard=math.ceil(entries / (processes * SHARDS_PER_PROCESS)),
        timeout=60,
    )
    shards = [json.loads(path.read_text()) for path in folder.glob("*_stats.json")]
    stored = sum(shard["successes"] for shard in shards)
    print(json.dumps({"uploaded": stored, "failed": sum(shard["count"] for shard in shards) - stored}))


if __name__ == "__main__":
    main()
