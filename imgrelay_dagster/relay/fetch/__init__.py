"""Fetching from strangers: addresses, connections, limits. `relay/download.py` is the way in."""
