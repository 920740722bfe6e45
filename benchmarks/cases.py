"""The cases to measure."""

from dataclasses import dataclass

from benchmarks.corpus import PHOTO, SMALL

OURS, OURS_LOCAL, BARE = "imgrelay", "imgrelay, folder", "bare engine"
GO, SHARP, IMG2DATASET, NAIVE = "Go program", "sharp", "img2dataset", "naive Dagster"
WRITE_FOLDERS = (OURS_LOCAL, IMG2DATASET, SHARP)
"""The contenders that write into a folder. All others store in S3."""

NEAR, FAR, MIXED = "near", "far", "mixed"


@dataclass(frozen=True)
class Case:
    """One case: a number of entries of one kind of picture, relayed by imgrelay and by its rivals.

    A `NEAR` origin answers at once, a `FAR` one with a delay; `MIXED` are three hosts with different delays (see
    `origin.py`). `then` measures something else than a whole run: `redrive`, a second run of the same manifest;
    `cancel`, a run that gets Ctrl-C after a fifth of its entries.
    """

    name: str
    kind: str
    entries: int
    rivals: tuple[str, ...] = ()
    origin: str = NEAR
    format: str = "jpeg"
    then: str = ""
    quick: bool = False


CASES = (
    Case("small-1", SMALL, 1, quick=True),
    Case("small-100", SMALL, 100, (BARE,), quick=True),
    Case("small-1000", SMALL, 1_000, (BARE, GO), quick=True),
    Case("small-5000", SMALL, 5_000),
    Case("small-10000", SMALL, 10_000, (BARE, GO)),
    Case("small-50000", SMALL, 50_000, (BARE,)),
    Case("small-100000", SMALL, 100_000),
    Case("small-1000-far", SMALL, 1_000, (BARE, GO), origin=FAR),
    Case("small-10000-far", SMALL, 10_000, (BARE, GO), origin=FAR),
    Case("small-2000-mixed", SMALL, 2_000, (BARE, GO), origin=MIXED),
    Case("small-10000-redrive", SMALL, 10_000, then="redrive"),
    Case("small-10000-cancel", SMALL, 10_000, then="cancel"),
    Case("photo-100", PHOTO, 100, (BARE, GO), quick=True),
    Case("photo-1000", PHOTO, 1_000, (BARE, GO)),
    Case("photo-1000-far", PHOTO, 1_000, (BARE, GO), origin=FAR),
    Case("photo-5000", PHOTO, 5_000, (BARE, GO)),
    Case("small-3000-rivals", SMALL, 3_000, (*WRITE_FOLDERS, GO), quick=True),
    Case("photo-600-rivals", PHOTO, 600, (*WRITE_FOLDERS, GO), quick=True),
    Case("photo-200-png", PHOTO, 200, (BARE,), format="png"),
    Case("photo-200-webp", PHOTO, 200, (BARE,), format="webp"),
    Case("small-100-naive", SMALL, 100, (NAIVE,)),
)
