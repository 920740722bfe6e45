"""The folder of template pictures: which there are, and each loaded once a process."""

from functools import cached_property
from pathlib import Path
from typing import Self

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.imaging.template import Template

SHIPPED = Path(__file__).parents[2] / "templates"
"""The templates that come with the package."""


class TemplateFolder:
    """Templates by file name. Names with a path in them are refused: nothing outside the folder is read.

    Args:
        also: a file that counts as one of the folder's, in place of one of the same name.
    """

    def __init__(self, folder: Path, also: Path | None = None) -> None:
        self._folder = folder
        self._also = also
        self._loaded: dict[str, Template | RelayError] = {}

    @classmethod
    def shipped(cls) -> Self:
        """The templates that come with the package."""
        return cls(SHIPPED)

    @cached_property
    def names(self) -> list[str]:
        """The file names in the folder, sorted."""
        if not self._folder.is_dir():
            return []
        return sorted(path.name for path in self._folder.iterdir() if path.is_file())

    def load(self, name: str) -> Template:
        """The template of this file name.

        Raises:
            RelayError: there is no such file, or it is not a picture; the same answer at every call.
        """
        if name not in self._loaded:
            try:
                self._loaded[name] = self._read(name)
            except RelayError as error:
                self._loaded[name] = error
        found = self._loaded[name]
        if isinstance(found, RelayError):
            raise found
        return found

    def _read(self, name: str) -> Template:
        path = self._folder / name
        if self._also is not None and name == self._also.name:
            path = self._also
        elif name not in self.names:
            holds = ", ".join(self.names[:10]) or "no file"
            raise RelayError(f"template {name!r} not found in {self._folder}; it holds {holds}")
        try:
            data = path.read_bytes()
        except OSError as error:
            raise RelayError(f"template {name!r} in {path.parent} cannot be read: {error.strerror}") from error
        return Template.load(data, name)
