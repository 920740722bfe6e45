"""The version of what can be decoded: what one version refused, another may decode."""

from functools import cache

import PIL

from imgrelay_dagster.relay.outcomes import Reason

DECODER_REVISION = 2
"""Raise it whenever imgrelay itself decodes more than before."""

DECODER_REASONS = frozenset({Reason.UNSUPPORTED_FORMAT, Reason.CORRUPT_IMAGE})
"""Failures that an upgrade of the decoders may end."""


@cache
def decoder_version() -> str:
    """The version of the decoders in this process, such as `1/pillow-13.0.0`."""
    return f"{DECODER_REVISION}/pillow-{PIL.__version__}"
