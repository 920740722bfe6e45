"""The folder of templates. Each template is loaded once per process."""

import threading
from pathlib import Path
from typing import Protocol, Self

from imgrelay_dagster.relay.errors import RelayError, StoreFailure
from imgrelay_dagster.relay.imaging.template import Template

SHIPPED_FOLDER = Path(__file__).parents[2] / "templates"
"""The folder of templates that come with the package."""


class Files(Protocol):
    """The files of a folder, on this host or in a store. `str` gives its address."""

    def names(self) -> list[str]:
        """The names of the files, sorted."""

    def read(self, name: str) -> bytes | None:
        """The content of a file; None if there is none of this name. Raises `RelayError` if it cannot be read."""


class LocalFiles:
    """The files directly in a folder of this host."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __str__(self) -> str:
        return str(self._folder)

    def names(self) -> list[str]:
        """The names of the files, sorted."""
        if not self._folder.is_dir():
            return []
        return sorted(path.name for path in self._folder.iterdir() if path.is_file())

    def read(self, name: str) -> bytes | None:
        """The content of a file; None if there is none of this name.

        Raises:
            RelayError: it cannot be read.
        """
        return _read_file(self._folder / name) if name in self.names() else None


class TemplateFolder:
    """Loads templates by file name. A name with a path is refused, so that nothing outside the folder is read.

    Args:
        folder: the folder of template files.
        extra_file: a further template file, which replaces one of the same name in the folder.
    """

    def __init__(self, folder: Path | Files, extra_file: Path | None = None) -> None:
        self._files = LocalFiles(folder) if isinstance(folder, Path) else folder
        self._extra_file = extra_file
        self._loaded: dict[str, Template | RelayError] = {}
        self._lock = threading.Lock()

    @classmethod
    def shipped(cls) -> Self:
        """The templates that come with the package."""
        return cls(SHIPPED_FOLDER)

    def load(self, name: str) -> Template:
        """Return the template with this file name; the result is cached, errors included.

        Raises:
            StoreFailure: the folder is in a store that does not answer.
            RelayError: the file does not exist or is not an image.
        """
        loaded = self._loaded.get(name)
        if loaded is None:
            with self._lock:
                loaded = self._loaded[name] = self._loaded.get(name) or self._read(name)
        if isinstance(loaded, RelayError):
            raise loaded
        return loaded

    def _read(self, name: str) -> Template | RelayError:
        try:
            if self._extra_file is not None and name == self._extra_file.name:
                return Template.load(_read_file(self._extra_file), name)
            data = self._files.read(name)
            if data is None:
                available = ", ".join(self._files.names()[:10]) or "no file"
                raise RelayError(f"template {name!r} not found in {self._files}; it holds {available}")
            return Template.load(data, name)
        except StoreFailure:
            raise
        except RelayError as error:
            return error


def _read_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise RelayError(f"template {path.name!r} in {path.parent} cannot be read: {error.strerror}") from error
