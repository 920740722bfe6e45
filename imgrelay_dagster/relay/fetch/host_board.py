"""What the processes of a run tell each other about hosts."""

from typing import Protocol

from imgrelay_dagster.relay.fetch.host_rate import RateState


class HostBoard(Protocol):
    """Shared by all processes that download for a run. No call raises.

    Attributes:
        window: seconds; time is divided into windows of this length. In each one only the process that has claimed it
            for a host may send requests to that host, while its rate is limited.
    """

    window: float

    def claim(self, host: str, number: int) -> bool:
        """Claim window `number` of a host; False if another process has it."""

    def publish(self, host: str, state: RateState) -> None:
        """Tell the others what is known about a host."""

    def read(self) -> dict[str, RateState]:
        """What has been published since the last call, by host."""


class PrivateBoard:
    """The board of a process that downloads alone."""

    window = 0.1

    def claim(self, host: str, number: int) -> bool:  # noqa: ARG002 - nobody else claims
        """Claim a window: always granted."""
        return True

    def publish(self, host: str, state: RateState) -> None:
        """Tell nobody."""

    def read(self) -> dict[str, RateState]:
        """Hear nothing."""
        return {}
