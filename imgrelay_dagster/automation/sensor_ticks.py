"""Limits that the sensors share for one tick, which is what Dagster calls one evaluation of a sensor."""

TICK_BUDGET = 20.0
"""Seconds after which a tick starts no further item: Dagster fails a tick that takes longer than 60 seconds."""

LAUNCH_GRACE = 120.0
"""Seconds after its creation within which Dagster launches or queues a run; after that the launch has failed."""
