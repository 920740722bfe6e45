"""Imports of large libraries without garbage collection."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def loading() -> Iterator[None]:
    """Suspend garbage collection in this block, and exclude everything imported in it from collection for good.

    Modules never become garbage, yet the collector examines all of them again and again during the import: a fifth of
    the time that importing Dagster takes. It would also write to each object, and so copy its memory page, in every
    process that is forked from this one.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
