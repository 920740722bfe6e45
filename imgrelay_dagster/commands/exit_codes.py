"""Exit codes of the command."""

SUCCESS, FAILED, WRONG_USAGE, CANCELED = 0, 1, 2, 130
