"""The partitions: which days, hours or weeks exist, when each is relayed, and the name of its dataset.

A partition's time is its *period*. Its key is Dagster's: `2026-11-23` for a day, or for the week from that Monday, and
`2026-11-23-14:00` for an hour, in the time zone `IMGRELAY_TIMEZONE`.
"""

import re
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import dagster as dg

from imgrelay_dagster.config import environment
from imgrelay_dagster.relay.errors import RelayError

DAILY, HOURLY, WEEKLY = "daily", "hourly", "weekly"

NOUNS = {DAILY: "day", HOURLY: "hour", WEEKLY: "week"}
"""The words for one period of each kind."""

_PREVIOUS = ("yesterday", "previous")
_MONDAY = 1

MAX_HOURS = 7 * 24
"""How many hours back late manifests of hours are searched for: each costs a request in every tick."""


def period_kind() -> str:
    """How long a partition's period is: `daily`, `hourly` or `weekly`.

    Raises:
        RelayError: `IMGRELAY_PARTITIONS` is another word.
    """
    return environment.PARTITIONS.get()


def first_day() -> str:
    """The first day of the first partition, as 2026-01-01.

    Raises:
        RelayError: `IMGRELAY_FIRST_DAY` is not a date.
    """
    return environment.FIRST_DAY.get().isoformat()


def time_zone() -> ZoneInfo:
    """The time zone that periods belong to.

    Raises:
        RelayError: `IMGRELAY_TIMEZONE` is not a time zone.
    """
    return ZoneInfo(environment.TIMEZONE.get())


def schedule_time() -> time:
    """The time of day (in `time_zone`) at which the schedule relays a manifest; of every hour only the minute counts.

    Raises:
        RelayError: `IMGRELAY_DROP_AT` is not a time of day.
    """
    return environment.DROP_AT.get()


def schedule_cron() -> str:
    """When the schedule ticks: every day or every Monday at `schedule_time`, or at its minute of every hour."""
    at = schedule_time()
    days = {DAILY: "*", WEEKLY: f"{_MONDAY}"}
    return f"{at.minute} * * * *" if period_kind() == HOURLY else f"{at.minute} {at.hour} * * {days[period_kind()]}"


def schedule_offset() -> int:
    """The periods between the one that the schedule relays and that of its tick: 1 for the previous, 0 for the same.

    Raises:
        RelayError: `IMGRELAY_DROP_DAY` is none of its words.
    """
    return int(environment.DROP_DAY.get() in _PREVIOUS)


def make_partitions() -> dg.TimeWindowPartitionsDefinition:
    """One partition for each period, as the environment describes them.

    Raises:
        RelayError: the clock of the time zone changes by less than an hour, and partitions are hourly.
    """
    return _partitions(period_kind(), environment.FIRST_DAY.get(), time_zone(), 1 - schedule_offset())


@lru_cache
def _partitions(kind: str, first: date, zone: ZoneInfo, end_offset: int) -> dg.TimeWindowPartitionsDefinition:
    if kind == DAILY:
        return dg.DailyPartitionsDefinition(first.isoformat(), end_offset=end_offset, timezone=zone.key)
    start = datetime.combine(first, time(0), zone)
    if kind == WEEKLY:
        return dg.WeeklyPartitionsDefinition(start, end_offset=end_offset, timezone=zone.key, day_offset=_MONDAY)
    _check_whole_hours(zone, first.year)
    return dg.HourlyPartitionsDefinition(start, end_offset=end_offset, timezone=zone.key)


def _check_whole_hours(zone: ZoneInfo, year: int) -> None:
    """Refuse a zone like Australia/Lord_Howe: after its change Dagster begins every hour at half past."""
    offsets = {datetime(year, month, 1, tzinfo=zone).utcoffset() or timedelta() for month in range(1, 13)}
    if len({offset % timedelta(hours=1) for offset in offsets}) > 1:
        raise RelayError(
            f"IMGRELAY_TIMEZONE {zone.key!r} changes its clock by less than an hour, which hourly partitions cannot "
            "follow; set IMGRELAY_PARTITIONS to daily or weekly, or use another time zone"
        )


partitions = make_partitions()
"""One partition for each period, from the first day to the previous period, or to the present one if
`$IMGRELAY_DROP_DAY` says so."""


def scheduled_period(at: datetime) -> str:
    """The period that the schedule relays at this time."""
    definition = make_partitions()
    return _key(definition, _shifted(definition, _start_of(definition, at)))


def due_periods(now: datetime, limit: int) -> list[str]:
    """The periods that the schedule has relayed by now, latest first, at most `limit` of them."""
    definition, first = make_partitions(), environment.FIRST_DAY.get()
    start = _start_of(definition, now)
    if now < _tick_in(start):
        start = _previous(definition, start)
    start = _shifted(definition, start)
    keys: list[str] = []
    while start.date() >= first and len(keys) < limit:
        keys.append(_key(definition, start))
        start = _previous(definition, start)
    return keys


def periods_in(days: int) -> int:
    """How many periods there are in so many days, rounded up; of hours at most `MAX_HOURS`."""
    kind = period_kind()
    return -(-days // 7) if kind == WEEKLY else days if kind == DAILY else min(24 * days, MAX_HOURS)


def _start_of(definition: dg.TimeWindowPartitionsDefinition, at: datetime) -> datetime:
    """When the period of a time begins."""
    key = definition.get_partition_key_for_timestamp(at.timestamp())
    return definition.time_window_for_partition_key(key).start


def _previous(definition: dg.TimeWindowPartitionsDefinition, start: datetime) -> datetime:
    window = definition.get_prev_partition_window(start, respect_bounds=False)
    assert window is not None
    return window.start


def _shifted(definition: dg.TimeWindowPartitionsDefinition, start: datetime) -> datetime:
    return _previous(definition, start) if schedule_offset() else start


def _tick_in(start: datetime) -> datetime:
    """When the schedule ticks in the period that begins at this time."""
    at = schedule_time()
    if period_kind() == HOURLY:
        return (start.astimezone(UTC) + timedelta(minutes=at.minute)).astimezone(start.tzinfo)
    return datetime.combine(start.date(), at, start.tzinfo)


def _key(definition: dg.TimeWindowPartitionsDefinition, start: datetime) -> str:
    return definition.get_partition_key_for_timestamp(start.timestamp())


class PeriodStart(datetime):
    """The beginning of a period, for patterns: `{day}` is its name, `{day:%Y/%m/%d}` its parts."""

    def __format__(self, form: str) -> str:
        if form:
            return super().__format__(form)
        offset = f"{self:%z}" if self.fold else ""
        return f"{self:%Y-%m-%d-%H}{offset}" if period_kind() == HOURLY else f"{self:%Y-%m-%d}"


def period_start(period: str) -> PeriodStart:
    """When a period begins, in `time_zone`.

    Raises:
        RelayError: it is no period of the present kind, as after a change of `IMGRELAY_PARTITIONS`.
    """
    definition = make_partitions()
    try:
        start = definition.time_window_for_partition_key(period).start
        if _key(definition, start) != period:
            raise ValueError
    except ValueError:
        raise RelayError(
            f"partition {period!r} is not a key of {period_kind()} partitions; IMGRELAY_PARTITIONS or "
            "IMGRELAY_TIMEZONE has changed since it was chosen, so choose a partition of the asset again"
        ) from None
    return PeriodStart.fromtimestamp(start.timestamp(), start.tzinfo)


def period_name(period: str) -> str:
    """The name of a period in patterns of keys and manifests: its day, or `2026-11-23-14` for an hour."""
    return f"{period_start(period)}"


def day_of(at: datetime) -> str:
    """The day of a time in `time_zone`."""
    return at.astimezone(time_zone()).date().isoformat()


def describe(period: str) -> str:
    """A period in words, such as `day 2026-11-23`."""
    return f"{NOUNS[period_kind()]} {period}"


def period_dataset(period: str) -> str:
    """The dataset of a period. Each has its own, so that they share no results, receipts or lock."""
    return f"{period_kind()}-{re.sub('[^0-9-]', '-', period_name(period))}"
