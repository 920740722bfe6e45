"""What Dagster is shown: assets, graph, jobs, schedules and sensors."""
