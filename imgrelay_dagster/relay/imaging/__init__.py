"""Image processing with Pillow: read the header, decode, lay out, compose and encode.

`compose.py` is the entry point; it needs no I/O and no Dagster.
"""
