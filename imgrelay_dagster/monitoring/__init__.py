"""Monitoring of runs: housekeeping, lost runs, notifications and failure reasons."""
