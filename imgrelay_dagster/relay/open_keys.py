"""Keys whose extension is open until their image is made: with `output.format: source`, `1.*` becomes `1.png`.

Planning keeps every key free that an open one may become, so the outcome does not depend on what servers send.
"""

OPEN = "*"
"""The extension of an open key, without its dot."""

EXTENSIONS = ("jpg", "png", "webp", "avif")
"""The extensions that an open key may get, without a dot: those of the output formats."""

_ENDING = f".{OPEN}"


def is_open(key: str) -> bool:
    """Whether the extension of a key is open. Means something only with `output.format: source`."""
    return key.endswith(_ENDING)


def settled(key: str, extension: str) -> str:
    """Return an open key with an extension, without a dot; any other key as it is."""
    return key.removesuffix(OPEN) + extension if is_open(key) else key


def candidates(key: str) -> tuple[str, ...]:
    """Return the keys that an open key may become; of any other key, itself alone."""
    return tuple(settled(key, extension) for extension in EXTENSIONS) if is_open(key) else (key,)


def opened(key: str) -> str | None:
    """Return the open key that may have become this one; None if no open key can."""
    stem, dot, extension = key.rpartition(".")
    return f"{stem}{_ENDING}" if dot and extension in EXTENSIONS else None
