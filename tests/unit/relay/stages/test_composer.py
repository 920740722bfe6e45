"""Lack of memory is no verdict on an image: it is tried again alone, and by the next run."""

import threading
from collections.abc import Callable, Iterator

import pytest
from PIL import Image

from imgrelay_dagster.relay.errors import EntryFailure
from imgrelay_dagster.relay.imaging.compose import Composed
from imgrelay_dagster.relay.imaging.decoder_pool import DecoderPool
from imgrelay_dagster.relay.imaging.memory_budget import MemoryBudget
from imgrelay_dagster.relay.imaging.template import Template
from imgrelay_dagster.relay.outcomes import Reason, Record, is_permanent
from imgrelay_dagster.relay.settings import Settings
from imgrelay_dagster.relay.stages import composer as composing
from imgrelay_dagster.relay.stages.composer import LARGE_IMAGE, Composer
from tests.support import picture_files as files
from tests.support.composing import transparent_template

BUDGET = 1 << 30
TEMPLATE = transparent_template((4, 4))
SMALL = files.encoded(files.noise((64, 48)), "JPEG")
LARGE = files.encoded(Image.new("RGB", (3600, 3000)), "JPEG")
CORRUPT = EntryFailure(Reason.CORRUPT_IMAGE, "broken data stream")


@pytest.fixture
def composer() -> Iterator[Composer]:
    with DecoderPool() as decoders:
        yield Composer(Settings("birds", "/out"), MemoryBudget(BUDGET), decoders, threading.Event())


def fail(monkeypatch: pytest.MonkeyPatch, composer: Composer, errors: list[Exception]) -> list[int]:
    """Let the first tries of `compose` fail; returns what was held of the budget in each try."""
    real: Callable[..., Composed] = composing.compose_source
    held: list[int] = []

    def failing(*arguments: object, **options: object) -> Composed:
        held.append(composer.budget.held)
        if errors:
            raise errors.pop(0)
        return real(*arguments, **options)

    monkeypatch.setattr(composing, "compose_source", failing)
    return held


def compose(composer: Composer, data: bytes, template: Template = TEMPLATE) -> Composed:
    return composer.compose(data, template)


@pytest.mark.parametrize(("data", "error"), [(SMALL, MemoryError()), (LARGE, MemoryError()), (LARGE, CORRUPT)])
def test_an_image_that_failed_for_lack_of_memory_is_tried_again_alone(
    monkeypatch: pytest.MonkeyPatch, composer: Composer, data: bytes, error: Exception
) -> None:
    held = fail(monkeypatch, composer, [error])
    assert compose(composer, data).width in (64, 3600)
    assert held[0] < held[1] == BUDGET


def test_a_small_image_that_is_broken_is_tried_once(monkeypatch: pytest.MonkeyPatch, composer: Composer) -> None:
    held = fail(monkeypatch, composer, [CORRUPT])
    with pytest.raises(EntryFailure) as caught:
        compose(composer, SMALL)
    assert caught.value is CORRUPT
    assert len(held) == 1
    assert held[0] < LARGE_IMAGE


def test_without_memory_for_the_image_alone_the_next_run_tries_again(
    monkeypatch: pytest.MonkeyPatch, composer: Composer
) -> None:
    held = fail(monkeypatch, composer, [MemoryError(), MemoryError()])
    with pytest.raises(EntryFailure, match="memory ran out for an image of 64x48 pixels") as caught:
        compose(composer, SMALL)
    assert caught.value.reason is Reason.INTERNAL_ERROR
    assert not is_permanent(Record(1, "u", reason=caught.value.reason))
    assert held[-1] == BUDGET
