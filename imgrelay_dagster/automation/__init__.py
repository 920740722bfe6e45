"""Requests for runs: the schedule and sensors for daily manifests, the inbox and shard runs, and their intervals."""
