"""What the readers of Parquet and Excel files share: their libraries, and files that can be read at any position."""

import importlib
import io
from types import ModuleType
from typing import Any, BinaryIO

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.manifest.signatures import LONGEST, true_name


def optional_library(module: str, extra: str, name: str) -> ModuleType:
    """Import the library that reads a format.

    Raises:
        RelayError: it is not installed; the message says how to install it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise RelayError(
            f"manifest {name!r} needs the library {module.partition('.')[0]}; install it with "
            f"pip install 'imgrelay-dagster[{extra}]'"
        ) from error


class SeekableFile(io.RawIOBase):
    """A stream with `read`, `seek` and `tell`, such as obstore's `ReadableFile`, as a file of Python."""

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__()
        self._stream: Any = stream

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return int(self._stream.seek(offset, whence))

    def tell(self) -> int:
        return int(self._stream.tell())

    def read(self, size: int | None = -1, /) -> bytes:
        return bytes(self._stream.read(size if size is not None and size >= 0 else None))

    def readinto(self, buffer: Any, /) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def refuse_other_file(stream: SeekableFile, name: str, signature: bytes, kind: str) -> None:
    """Check that a file begins as its kind does, and go back to its start.

    Raises:
        RelayError: it is something else; the message calls it by its true name.
    """
    start = stream.read(LONGEST)
    stream.seek(0)
    if not start.startswith(signature):
        raise RelayError(f"manifest {name!r} is not {kind}; it {true_name(start) or 'may be text; check its suffix'}")
