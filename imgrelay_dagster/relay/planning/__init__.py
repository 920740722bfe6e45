"""Planning a run: what is left to do, and its division into tasks or shard runs."""
