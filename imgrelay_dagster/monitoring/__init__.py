"""What looks after runs: housekeeping, lost runs, notifications and failure reasons."""
