"""The error of a contender that cannot run on this machine."""


class MissingContenderError(RuntimeError):
    """A contender, or what it needs, is not installed."""
