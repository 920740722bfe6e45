"""Stores: addresses, opening, reading and writing objects, and plain texts for their errors."""
