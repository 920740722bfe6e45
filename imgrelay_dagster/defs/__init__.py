"""The Dagster definitions: assets, graph, jobs, schedules and sensors."""
