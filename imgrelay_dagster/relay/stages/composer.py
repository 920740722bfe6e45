"""Composing images in the threads of one step: lack of memory is no verdict on an image."""

import threading
from dataclasses import dataclass

from imgrelay_dagster.relay.errors import EntryFailure
from imgrelay_dagster.relay.imaging.compose import Composed, compose_source
from imgrelay_dagster.relay.imaging.decode import Source
from imgrelay_dagster.relay.imaging.decoder_pool import DecoderPool
from imgrelay_dagster.relay.imaging.host_turn import host_turn
from imgrelay_dagster.relay.imaging.layout import Layout
from imgrelay_dagster.relay.imaging.malloc import trim_memory
from imgrelay_dagster.relay.imaging.memory_budget import MemoryBudget
from imgrelay_dagster.relay.imaging.template import Template
from imgrelay_dagster.relay.outcomes import Reason
from imgrelay_dagster.relay.settings import Settings

LARGE_IMAGE = 64 << 20
"""Bytes of memory. A larger image that fails is tried once more, alone: some libraries report a lack of memory as a
broken file."""

VERY_LARGE_IMAGE = 320 << 20
"""Bytes of memory. Of larger images only one is open on a host, whatever the number of its steps."""

_MAY_BE_MEMORY = frozenset({Reason.CORRUPT_IMAGE, Reason.COMPOSE_ERROR})


@dataclass(frozen=True)
class Composer:
    """Composes images; shared by the threads of a step.

    Attributes:
        settings: the run's settings.
        budget: the memory that all images that are open may take together, in bytes.
        decoders: decode images whose cost is not known in advance.
        stop: ends waiting and decoding.
        isolated: decode every image in a process of its own.
    """

    settings: Settings
    budget: MemoryBudget
    decoders: DecoderPool
    stop: threading.Event
    isolated: bool = False

    def compose(self, data: bytes, template: Template, focus: str | None = None) -> Composed:
        """Compose an image; if memory is short, once more when no other image is open.

        Args:
            focus: the image's own, in place of the layout's.

        Raises:
            EntryFailure: a reason of `compose`; `internal_error` if memory is short, also for the image alone.
            Stopped: the run is being stopped.
        """
        source = Source.inspect(data, self.settings.max_pixels)
        try:
            with self.budget.hold(source.cost.memory, self.stop):
                return self._compose(source, template, focus)
        except MemoryError:
            pass
        except EntryFailure as failure:
            if failure.reason not in _MAY_BE_MEMORY or source.cost.memory < LARGE_IMAGE:
                raise
        with self.budget.hold_all(self.stop):
            try:
                return self._compose(source, template, focus)
            except MemoryError as error:
                detail = (
                    f"memory ran out for an image of {source.width}x{source.height} pixels, also while it was the only "
                    "one open; give steps more memory, or lower download.max_pixels"
                )
                raise EntryFailure(Reason.INTERNAL_ERROR, detail) from error

    def _compose(self, source: Source, template: Template, focus: str | None) -> Composed:
        layout = self.settings.layout_with(focus)
        if source.cost.memory <= VERY_LARGE_IMAGE:
            return self._compose_now(source, template, layout)
        with host_turn(self.stop):
            try:
                return self._compose_now(source, template, layout)
            finally:
                trim_memory()  # before the next one's turn

    def _compose_now(self, source: Source, template: Template, layout: Layout) -> Composed:
        decoders = self.decoders if self.isolated or not source.cost.is_bounded else None
        return compose_source(source, template, layout, self.settings.output, decoders=decoders)
