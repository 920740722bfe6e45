"""Applies all patches: a library is changed only if its source code is that for which the patch was written.

Each patch names the functions that it replaces or relies on, with the digests of their known sources. Where one of them
differs, the library is left alone and one warning is logged. imgrelay then works as before, only slower, or with the
defect of the library that the patch works around.

To add a library version, read what changed in the functions named by the warning. If the patch is still correct, add
the digest that this command prints:

    python -m imgrelay_dagster.dagster_patches.guard MODULE:FUNCTION
"""

import functools
import hashlib
import importlib
import inspect
import logging
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import attrgetter

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Patch:
    """One change of a library at run time.

    Attributes:
        name: what the warning calls it.
        libraries: the library versions it was read against.
        sources: for each function or class that it replaces or relies on, as `module:qualified.name`, the digests of
            the sources that it is known to work with.
        apply: makes the change; called once at most.
    """

    name: str
    libraries: str
    sources: Mapping[str, frozenset[str]]
    apply: Callable[[], None]


def source_digest(function: str) -> str:
    """The first 16 hex digits of the SHA-256 of a function's source; empty where there is no source.

    Args:
        function: `module:qualified.name`.
    """
    module, _, name = function.partition(":")
    try:
        source = inspect.getsource(attrgetter(name)(importlib.import_module(module)))
    except (ImportError, AttributeError, OSError, TypeError):
        return ""
    return hashlib.sha256(source.encode()).hexdigest()[:16]


@functools.cache
def is_known(patch: Patch) -> bool:
    """Whether all sources of a patch are known ones. Logs one warning where they are not.

    The answer is kept for the process, and so for every process that is forked from it.
    """
    unknown = [name for name, known in patch.sources.items() if source_digest(name) not in known]
    if unknown:
        logger.warning(
            "imgrelay leaves %s as it is: the source of %s is not one that patch %r was written for (%s)",
            patch.libraries.split()[0],
            ", ".join(unknown),
            patch.name,
            patch.libraries,
        )
    return not unknown


@functools.cache
def install(patch: Patch) -> bool:
    """Apply a patch once in this process, if its sources are known; returns whether it is in place."""
    if not is_known(patch):
        return False
    patch.apply()
    return True


if __name__ == "__main__":
    print(source_digest(sys.argv[1]))  # noqa: T201
