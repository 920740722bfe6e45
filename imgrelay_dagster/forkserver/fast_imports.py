"""Loading large libraries."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def loading() -> Iterator[None]:
    """Import in this block: no garbage is looked for in it, nor ever again among what it loads.

    Modules are no garbage, yet the collector looks at all of them again and again while they come in: a fifth of the
    time that Dagster takes. It would also write to each object in every process that is forked from here.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
