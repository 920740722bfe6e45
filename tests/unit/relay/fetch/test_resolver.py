"""Name resolution when name servers do not answer."""

import socket
import threading

import pytest

from imgrelay_dagster.relay.errors import EntryFailure, Stopped
from imgrelay_dagster.relay.fetch import resolver as resolver_module
from imgrelay_dagster.relay.fetch.resolver import Resolver
from imgrelay_dagster.relay.outcomes import Reason

FOUND = [(socket.AF_INET, "192.0.2.1")]


class HangingForDeadNames:
    """A resolve function that answers at once, except for names that start with `dead`."""

    def __init__(self) -> None:
        self.released = threading.Event()

    def __call__(self, host: str, port: int) -> list[tuple[socket.AddressFamily, str]]:
        if host.startswith("dead"):
            self.released.wait(60)
        return FOUND


def occupy_helpers(resolver: Resolver, count: int) -> None:
    """Resolve `count` dead names until they time out; their helper threads keep waiting."""

    def resolve(number: int) -> None:
        with pytest.raises(EntryFailure):
            resolver(f"dead{number}.test", 80, 0.05, lambda: None)

    threads = [threading.Thread(target=resolve, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_a_name_is_resolved_while_hundreds_of_others_hang() -> None:
    resolve = HangingForDeadNames()
    resolver = Resolver(resolve)
    occupy_helpers(resolver, 300)
    assert resolver("living.test", 80, 5.0, lambda: None) == FOUND
    resolve.released.set()


def test_waiting_for_a_helper_thread_times_out_with_a_reason_and_ends_on_a_stop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(resolver_module, "_MAX_HELPER_THREADS", 3)
    resolve = HangingForDeadNames()
    resolver = Resolver(resolve)
    occupy_helpers(resolver, 3)
    with pytest.raises(EntryFailure, match=r"living.test was not resolved: 3 other names wait") as caught:
        resolver("living.test", 80, 0.2, lambda: None)
    assert (caught.value.reason, caught.value.transient) == (Reason.DNS_ERROR, True)

    def stop() -> None:
        raise Stopped

    with pytest.raises(Stopped):
        resolver("living.test", 80, 30.0, stop)
    resolve.released.set()
