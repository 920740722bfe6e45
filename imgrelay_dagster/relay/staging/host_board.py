"""The board on which the processes of a run share what they know about hosts, in the run's scratch space."""

import hashlib
import json
import time
from collections import deque
from contextlib import suppress
from dataclasses import asdict

from pydantic import TypeAdapter, ValidationError

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.fetch.host_rate import RateState
from imgrelay_dagster.relay.staging.scratch_space import Staging

LOCAL_WINDOW, REMOTE_WINDOW = 0.1, 0.25
"""Seconds of a window: claiming one takes a fraction of a millisecond in a folder, and some 10 ms in S3."""

KEPT = 10.0
"""Seconds after which a claim is deleted."""

_state_json = TypeAdapter(tuple[str, RateState])


class StagingBoard:
    """A `HostBoard` in staging: one object for each host with a state, and one for each claimed window.

    A claim is an object that only one process can create. Claims need the clocks of the hosts to agree within a
    fraction of a second; where they do not, the rate of a host may be exceeded for that long.
    """

    def __init__(self, staging: Staging) -> None:
        self._staging = staging
        self.window = LOCAL_WINDOW if staging.is_local else REMOTE_WINDOW
        self._claims: deque[tuple[float, str]] = deque()
        self._seen: dict[str, object] = {}

    def claim(self, host: str, number: int) -> bool:
        """Claim window `number` of a host; False if another process has it."""
        name = f"hosts/{_digest(host)}/{number}"
        if not self._staging.claim(name):
            return False
        self._claims.append((time.monotonic(), name))
        if time.monotonic() - self._claims[0][0] > KEPT and len(self._claims) >= 20:
            old = [self._claims.popleft()[1] for _ in range(10)]
            with suppress(RelayError):
                self._staging.delete_claims(old)
        return True

    def publish(self, host: str, state: RateState) -> None:
        """Tell the others what is known about a host."""
        with suppress(RelayError):
            self._staging.put_host(_digest(host), json.dumps([host, asdict(state)]).encode())

    def read(self) -> dict[str, RateState]:
        """What has been published since the last call, by host."""
        found: dict[str, RateState] = {}
        with suppress(RelayError):
            for key, version in self._staging.list_hosts():
                if self._seen.get(key) != version:
                    self._seen[key] = version
                    data = self._staging.read_host(key)
                    with suppress(ValidationError):
                        host, state = _state_json.validate_json(data or b"")
                        found[host] = state
        return found


def _digest(host: str) -> str:
    return hashlib.sha256(host.encode()).hexdigest()[:16]
