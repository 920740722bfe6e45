"""Pixels: read, laid out, written. `relay/compose.py` is the way in."""
