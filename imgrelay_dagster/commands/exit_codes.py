"""Exit codes of the command `imgrelay`."""

SUCCESS, FAILED, WRONG_USAGE, CANCELED = 0, 1, 2, 130
