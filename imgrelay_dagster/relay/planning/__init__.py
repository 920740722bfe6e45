"""Deciding what is left to do, and cutting it into tasks and shards."""
