"""Does with pyvips what `compose_worker.py` does for JPEG on a canvas of the template's size.

vips_worker.py FOLDER TEMPLATE REPEATS
"""

import json
import sys
import time
from pathlib import Path

import pyvips

folder, template_file, repeats = sys.argv[1:]
pyvips.cache_set_max(0)
template = pyvips.Image.new_from_file(template_file).copy_memory()
files = [path.read_bytes() for path in sorted(Path(folder).iterdir())]


def work(times: int) -> None:
    for _ in range(times):
        for data in files:
            image = pyvips.Image.thumbnail_buffer(data, template.width, height=template.height, crop="centre")
            image.composite2(template, "over").flatten().jpegsave_buffer(Q=85, strip=True)


work(1)
cpu, wall = time.process_time(), time.perf_counter()
work(int(repeats))
used = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall, "images": int(repeats) * len(files)}
print(json.dumps(used))
