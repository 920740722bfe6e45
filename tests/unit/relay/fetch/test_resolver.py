"""Name look-ups that hang."""

import socket
import threading

import pytest

from imgrelay_dagster.relay.errors import EntryFailure, Stopped
from imgrelay_dagster.relay.fetch import resolver as resolver_module
from imgrelay_dagster.relay.fetch.resolver import Lookup
from imgrelay_dagster.relay.outcomes import Reason

FOUND = [(socket.AF_INET, "192.0.2.1")]


class Resolver:
    """Answers for every name but those that begin with `dead`."""

    def __init__(self) -> None:
        self.over = threading.Event()

    def __call__(self, host: str, port: int) -> list[tuple[socket.AddressFamily, str]]:
        if host.startswith("dead"):
            self.over.wait(60)
        return FOUND


def hang(look: Lookup, names: int) -> None:
    """Give up on so many dead names, whose helpers wait on."""

    def ask(number: int) -> None:
        with pytest.raises(EntryFailure):
            look(f"dead{number}.test", 80, 0.05, lambda: None)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(names)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_hundreds_of_dead_names_do_not_fail_a_living_one() -> None:
    resolver = Resolver()
    look = Lookup(resolver)
    hang(look, 300)
    assert look("living.test", 80, 5.0, lambda: None) == FOUND
    resolver.over.set()


def test_who_waits_for_a_helper_is_told_why_and_hears_of_a_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolver_module, "_MOST_HANGING", 3)
    resolver = Resolver()
    look = Lookup(resolver)
    hang(look, 3)
    with pytest.raises(EntryFailure, match=r"living.test was not looked up: 3 others wait") as caught:
        look("living.test", 80, 0.2, lambda: None)
    assert (caught.value.reason, caught.value.transient) == (Reason.DNS_ERROR, True)

    def stop() -> None:
        raise Stopped

    with pytest.raises(Stopped):
        look("living.test", 80, 30.0, stop)
    resolver.over.set()
