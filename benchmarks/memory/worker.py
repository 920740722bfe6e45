"""Composes pictures as a step does, after importing what a step imports; waits for a line before it starts.

python -m benchmarks.memory.worker PIXELS FORMAT LIMIT PICTURE...
"""

import sys
import threading
from pathlib import Path

import imgrelay_dagster.definitions  # noqa: F401 - for its memory
from imgrelay_dagster.relay.errors import EntryFailure
from imgrelay_dagster.relay.imaging.compose import Format, Output
from imgrelay_dagster.relay.imaging.decoder_pool import DecoderPool
from imgrelay_dagster.relay.imaging.malloc import keep_freed_memory
from imgrelay_dagster.relay.imaging.memory_budget import MemoryBudget
from imgrelay_dagster.relay.imaging.template import Template
from imgrelay_dagster.relay.settings import Settings
from imgrelay_dagster.relay.stages.compose import MEMORY_BUDGET
from imgrelay_dagster.relay.stages.composer import Composer

TEMPLATE = Path(__file__).parents[2] / "imgrelay_dagster/templates/frame.png"


def main() -> None:
    """Compose the pictures, in as many threads as a step has."""
    pixels, written, *pictures = sys.argv[1:]
    keep_freed_memory()
    settings = Settings("memory", "out", max_pixels=int(pixels), output=Output(Format(written)))
    template = Template.load(TEMPLATE.read_bytes(), TEMPLATE.name)
    stop = threading.Event()
    print("ready", flush=True)
    sys.stdin.readline()
    with DecoderPool(stop, cpu_limit=600, run_limit=600) as decoders:
        composer = Composer(settings, MemoryBudget(MEMORY_BUDGET), decoders, stop)

        def work(names: list[str]) -> None:
            for name in names:
                try:
                    composed = composer.compose(Path(name).read_bytes(), template)
                    print(f"{composed.width}x{composed.height}, {len(composed.data):,} bytes", flush=True)
                except EntryFailure as failure:
                    print(f"{failure.reason}: {failure.detail}", flush=True)

        threads = [
            threading.Thread(target=work, args=(pictures[number :: settings.compose_threads],))
            for number in range(settings.compose_threads)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


if __name__ == "__main__":
    main()
