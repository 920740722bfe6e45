"""Composes all pictures of a folder with imgrelay's engine, and prints CPU and wall time as JSON.

A script without imports of this project's benchmarks, so that the Python of another checkout can run it.

compose_worker.py FOLDER TEMPLATE FORMAT CANVAS REPEATS
"""

import json
import sys
import time
from pathlib import Path

try:
    from imgrelay_dagster.relay.imaging.compose import Format, Output, compose
    from imgrelay_dagster.relay.imaging.layout import Canvas, Layout
    from imgrelay_dagster.relay.imaging.malloc import keep_freed_memory
    from imgrelay_dagster.relay.imaging.template import Template
except ImportError:  # a checkout from before these modules had their names
    from imgrelay_dagster.relay.compose import Format, Output, compose
    from imgrelay_dagster.relay.picture.allocation import keep_freed_pixels as keep_freed_memory
    from imgrelay_dagster.relay.picture.layout import Canvas, Layout
    from imgrelay_dagster.relay.picture.template import Template

folder, template_file, written, canvas, repeats = sys.argv[1:]
keep_freed_memory()
template = Template.load(Path(template_file).read_bytes(), "frame.png")
layout, output = Layout(canvas=Canvas(canvas)), Output(Format(written))
files = [path.read_bytes() for path in sorted(Path(folder).iterdir())]


def work(times: int) -> None:
    for _ in range(times):
        for data in files:
            compose(data, template, layout, output, max_pixels=50_000_000)


work(1)  # warm
cpu, wall = time.process_time(), time.perf_counter()
work(int(repeats))
used = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall, "images": int(repeats) * len(files)}
print(json.dumps(used))
