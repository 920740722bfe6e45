"""Fetching URLs from untrusted hosts: addresses, connections, limits. The entry point is `downloader.py`."""
