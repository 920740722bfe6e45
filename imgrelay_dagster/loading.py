"""Loading large libraries."""

import gc
import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType


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


@contextmanager
def without_components(package: str) -> Iterator[None]:
    """Import one of Dagster's integrations in this block without its component classes until somebody asks for one.

    They come with every integration, and with them comes what Dagster tests itself with, its daemon among it: a tenth
    of what it takes to start.
    """
    name = f"{package}.components"
    if package in sys.modules:
        yield
        return
    stand_in = ModuleType(name)
    vars(stand_in)["__getattr__"] = lambda _: stand_in
    sys.modules[name] = stand_in
    try:
        yield
    finally:
        del sys.modules[name]
    module = vars(sys.modules[package])
    for left_out in [key for key, value in module.items() if value is stand_in]:
        del module[left_out]
    module["__getattr__"] = lambda key: getattr(importlib.import_module(name), key)
