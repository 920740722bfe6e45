"""The three stages of a task: download, compose and upload."""
