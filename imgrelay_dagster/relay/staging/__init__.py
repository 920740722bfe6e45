"""Scratch space between the stages: packs of bytes, and the tasks that travel."""
