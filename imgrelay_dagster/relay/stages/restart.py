"""What a step that is started again after its process was killed knows about the image that may have ended it.

Such a step works on one image at a time, decodes each in a process of its own, and first notes in staging which image
that is. If its process is killed again, the next start leaves that image for the end. An image that ended
`MAX_KILLS` starts in this way fails; all others are relayed. A step's first start writes no notes.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from imgrelay_dagster.relay.errors import EntryFailure, RelayError
from imgrelay_dagster.relay.outcomes import Reason, Record
from imgrelay_dagster.relay.staging.scratch_space import Staging

MAX_KILLS = 2
"""Kills with only one image open after which that image fails. One may be a coincidence: a machine is restarted."""


class Restart:
    """A step's start after one that was killed.

    Args:
        name: the step's name in notes.
    """

    def __init__(self, staging: Staging, name: str) -> None:
        self._staging = staging
        self._note = f"open-{name}"
        self._kills: dict[int, int] = {}
        data = None
        with suppress(RelayError):
            data = staging.read_note(self._note)
        if data:
            found = json.loads(data)
            self._kills = {int(entry): kills for entry, kills in found["kills"].items()}
            if found["open"] is not None:
                self._kills[found["open"]] = self._kills.get(found["open"], 0) + 1

    def suspects_last(self, records: Sequence[Record]) -> tuple[Record, ...]:
        """The records in order, but those that were open at a kill at the end."""
        return tuple(sorted(records, key=lambda record: self._kills.get(record.entry, 0)))

    @contextmanager
    def open(self, entry: int) -> Iterator[None]:
        """Note that the step works on this entry's image within the block.

        Raises:
            EntryFailure: `internal_error`, it was open at `MAX_KILLS` kills.
        """
        if self._kills.get(entry, 0) >= MAX_KILLS:
            detail = (
                f"the step's process was killed {MAX_KILLS} times while it worked on this image alone; "
                "give steps more memory, or lower download.max_pixels"
            )
            raise EntryFailure(Reason.INTERNAL_ERROR, detail)
        self._write(entry)
        try:
            yield
        finally:
            self._write(None)

    def _write(self, entry: int | None) -> None:
        with suppress(RelayError):  # the images, in the same store, meet the error too
            self._staging.put_note(self._note, json.dumps({"kills": self._kills, "open": entry}).encode())
