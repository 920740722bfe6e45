#!/usr/bin/env bash
# dagster 1.13.27: in a time zone whose clock changes by half an hour, hourly partitions begin at half past ever after.
#
# Australia/Lord_Howe sets its clock by 30 minutes. HourlyPartitionsDefinition counts full hours from the first
# partition on, so after each change its keys move by half an hour. The same wall-clock hour is then a valid key or not
# depending on where the count began: a partition set that starts after the change has other keys than one that starts
# before it. A schedule with the cron "0 * * * *" keeps ticking at full hours, so that keys made from its ticks do not
# exist. Zones that are always half an hour off (Asia/Kolkata) are not concerned.
#
# Seen with dagster 1.13.27, Python 3.11:
#
#   starts before the change: 2026-04-06-09:30 is a key: True, 2026-04-06-09:00: False
#   starts after the change: 2026-04-06-09:30 is a key: False, 2026-04-06-09:00: True
#
# Exits with 0 while this holds, and with 1 once both agree.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check dagster==1.13.27
"$folder/venv/bin/python" - <<'PYTHON'
import sys
from datetime import datetime, timezone

import dagster as dg

now = datetime(2026, 4, 8, tzinfo=timezone.utc)
found = {}
for when, start in (("before", "2026-04-04-00:00"), ("after", "2026-04-06-00:00")):
    keys = dg.HourlyPartitionsDefinition(start, timezone="Australia/Lord_Howe").get_partition_keys(now)
    half, full = (f"2026-04-06-09:{minute}" in keys for minute in ("30", "00"))
    print(f"starts {when} the change: 2026-04-06-09:30 is a key: {half}, 2026-04-06-09:00: {full}")
    found[when] = half, full
sys.exit(found["before"] == found["after"])
PYTHON
