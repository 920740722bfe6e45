"""Pictures that cost too much end their decoder process, and nothing else."""

import os
import signal
import threading
import time
from collections.abc import Iterator

import psutil
import pytest

from imgrelay_dagster.relay.errors import EntryFailure, Stopped
from imgrelay_dagster.relay.imaging import decoder_pool
from imgrelay_dagster.relay.imaging.compose import Output, compose
from imgrelay_dagster.relay.imaging.core_wait import CoreWait
from imgrelay_dagster.relay.imaging.decode import Source
from imgrelay_dagster.relay.imaging.decoder_pool import DecoderPool
from imgrelay_dagster.relay.imaging.layout import Layout
from imgrelay_dagster.relay.outcomes import Reason
from tests.support import picture_files as files
from tests.support.avif_files import avif
from tests.support.composing import transparent_template

LIMIT = 50_000_000


@pytest.fixture(scope="module")
def slow() -> Source:
    """A picture that takes some tenths of a second."""
    return Source.inspect(avif((4000, 3000)), LIMIT)


@pytest.fixture(scope="module")
def quick() -> Source:
    return Source.inspect(files.encoded(files.noise((320, 200), mode="RGBA"), "PNG"), LIMIT)


def decoders() -> list[psutil.Process]:
    return [
        child for child in psutil.Process().children() if any("decoder_process" in word for word in child.cmdline())
    ]


@pytest.fixture
def pool() -> Iterator[DecoderPool]:
    with DecoderPool() as opened:
        yield opened
    assert not decoders()


def test_the_result_is_the_same_as_in_this_process(pool: DecoderPool, slow: Source, quick: Source) -> None:
    for source in (quick, slow, quick):
        here, there = source.decode(), pool.decode(source)
        assert (there.image.mode, there.full_size, there.extent) == (here.image.mode, here.full_size, here.extent)
        assert there.image.tobytes() == here.image.tobytes()
    assert len(decoders()) == 1  # it is used again


def test_the_frames_of_an_animation_are_counted(pool: DecoderPool) -> None:
    frames = [files.noise((32, 20), seed) for seed in (1, 2, 3)]
    data = files.encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    source = Source.inspect(data, LIMIT)
    assert (source.decode().frames, pool.decode(source).frames) == (3, 3)
    composed = compose(data, transparent_template((4, 4)), Layout(), Output(), max_pixels=LIMIT)
    assert composed.frames == 3


def test_a_failure_has_its_reason_and_keeps_the_process(pool: DecoderPool, quick: Source) -> None:
    broken = Source.inspect(quick.data[:-30], LIMIT)
    for _ in range(2):
        with pytest.raises(EntryFailure) as caught:
            pool.decode(broken)
        assert caught.value.reason is Reason.CORRUPT_IMAGE
    assert len(decoders()) == 1


def test_a_picture_that_takes_too_much_cpu_time_is_too_costly(slow: Source, quick: Source) -> None:
    with DecoderPool(cpu_limit=0.05) as pool:
        with pytest.raises(EntryFailure) as caught:
            pool.decode(slow)
        assert (caught.value.reason, caught.value.detail) == (
            Reason.TOO_COSTLY,
            "decoding it takes more than 0.05 s of CPU time",
        )
        assert pool.decode(quick).full_size == (320, 200)


def test_a_picture_that_takes_too_long_is_too_costly(slow: Source) -> None:
    with DecoderPool(run_limit=0.05) as pool:
        with pytest.raises(EntryFailure) as caught:
            pool.decode(slow)
        assert (caught.value.reason, caught.value.detail) == (Reason.TOO_COSTLY, "decoding it takes more than 0.05 s")
        assert not decoders()


def test_a_decoder_that_stands_still_is_too_costly(slow: Source, quick: Source) -> None:
    with DecoderPool(run_limit=1) as pool:
        pool.decode(quick)
        threading.Timer(0.1, decoders()[0].suspend).start()
        with pytest.raises(EntryFailure) as caught:
            pool.decode(slow)
        assert caught.value.reason is Reason.TOO_COSTLY


def test_time_without_a_core_does_not_count(slow: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CoreWait, "seconds", lambda _: time.monotonic())
    with DecoderPool(run_limit=0.05) as pool:
        assert pool.decode(slow).full_size == (4000, 3000)


def test_the_limit_is_longer_where_the_kernel_does_not_tell(slow: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CoreWait, "seconds", lambda _: None)
    monkeypatch.setattr(decoder_pool, "UNKNOWN_WAIT", 1000.0)
    with DecoderPool(run_limit=0.05) as pool:
        assert pool.decode(slow).full_size == (4000, 3000)
    monkeypatch.setattr(decoder_pool, "UNKNOWN_WAIT", 1.0)
    with DecoderPool(run_limit=0.05) as pool, pytest.raises(EntryFailure, match=r"more than 0.05 s"):
        pool.decode(slow)


def test_a_picture_that_takes_more_memory_than_its_pixels_explain_is_too_costly(pool: DecoderPool) -> None:
    greedy = Source.inspect(files.encoded(files.noise((8000, 6000)).convert("L"), "PNG", compress_level=1), LIMIT)
    object.__setattr__(greedy.cost, "pixel_memory", -(450 << 20))
    with pytest.raises(EntryFailure) as caught:
        pool.decode(greedy)
    assert caught.value.reason is Reason.TOO_COSTLY


@pytest.mark.parametrize(
    ("number", "error"), [(signal.SIGSEGV, EntryFailure), (signal.SIGKILL, MemoryError), (signal.SIGABRT, EntryFailure)]
)
def test_a_process_that_dies_is_replaced(
    pool: DecoderPool, slow: Source, quick: Source, number: signal.Signals, error: type[Exception]
) -> None:
    pool.decode(quick)
    (victim,) = decoders()
    threading.Timer(0.1, victim.send_signal, (number,)).start()
    with pytest.raises(error) as caught:
        pool.decode(slow)
    if isinstance(caught.value, EntryFailure):
        assert caught.value.reason is Reason.CORRUPT_IMAGE
        assert number.name in caught.value.detail
    assert pool.decode(quick).full_size == (320, 200)


def test_a_process_that_dies_while_idle_is_replaced(pool: DecoderPool, quick: Source) -> None:
    pool.decode(quick)
    (victim,) = decoders()
    victim.kill()
    victim.wait(5)
    assert pool.decode(quick).full_size == (320, 200)


def test_a_stop_ends_the_call_and_the_process(slow: Source) -> None:
    stop = threading.Event()
    with DecoderPool(stop) as pool:
        threading.Timer(0.1, stop.set).start()
        started = time.monotonic()
        with pytest.raises(Stopped):
            pool.decode(slow)
        assert time.monotonic() - started < 2
    assert not decoders()


def test_a_decoder_ends_with_its_parent(slow: Source) -> None:
    pid = os.fork()
    if not pid:
        with DecoderPool() as pool:
            threading.Timer(0.3, os._exit, (0,)).start()
            pool.decode(slow)
            time.sleep(5)
    os.waitpid(pid, 0)
    deadline = time.monotonic() + 5
    while _orphans() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _orphans()


def _orphans() -> list[int]:
    return [
        process.pid
        for process in psutil.process_iter(["cmdline", "ppid"])
        if process.info["ppid"] == 1 and "decoder_process" in " ".join(process.info["cmdline"] or ())
    ]


def test_a_decoder_has_no_credentials(pool: DecoderPool, quick: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cret")
    pool.decode(quick)
    assert "s3cret" not in decoders()[0].environ().values()
