"""Staging: the scratch space between the stages of a run, and the tasks whose bytes it holds."""
