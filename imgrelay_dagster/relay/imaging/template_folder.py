"""The folder of templates. Each template is loaded once per process."""

from functools import cached_property
from pathlib import Path
from typing import Self

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.imaging.template import Template

SHIPPED_FOLDER = Path(__file__).parents[2] / "templates"
"""The folder of templates that come with the package."""


class TemplateFolder:
    """Loads templates by file name. A name with a path is refused, so that nothing outside the folder is read.

    Args:
        folder: the folder of template files.
        extra_file: a further template file, which replaces one of the same name in the folder.
    """

    def __init__(self, folder: Path, extra_file: Path | None = None) -> None:
        self._folder = folder
        self._extra_file = extra_file
        self._loaded: dict[str, Template | RelayError] = {}

    @classmethod
    def shipped(cls) -> Self:
        """The templates that come with the package."""
        return cls(SHIPPED_FOLDER)

    @cached_property
    def names(self) -> list[str]:
        """The file names in the folder, sorted."""
        if not self._folder.is_dir():
            return []
        return sorted(path.name for path in self._folder.iterdir() if path.is_file())

    def load(self, name: str) -> Template:
        """Return the template with this file name; the result is cached, errors included.

        Raises:
            RelayError: the file does not exist or is not an image.
        """
        if name not in self._loaded:
            try:
                self._loaded[name] = self._read(name)
            except RelayError as error:
                self._loaded[name] = error
        loaded = self._loaded[name]
        if isinstance(loaded, RelayError):
            raise loaded
        return loaded

    def _read(self, name: str) -> Template:
        path = self._folder / name
        if self._extra_file is not None and name == self._extra_file.name:
            path = self._extra_file
        elif name not in self.names:
            available = ", ".join(self.names[:10]) or "no file"
            raise RelayError(f"template {name!r} not found in {self._folder}; it holds {available}")
        try:
            data = path.read_bytes()
        except OSError as error:
            raise RelayError(f"template {name!r} in {path.parent} cannot be read: {error.strerror}") from error
        return Template.load(data, name)
