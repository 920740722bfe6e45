"""Settings for the servers of originals, from a YAML file: headers, proxy, pace and TLS, by host pattern.

    "*.example.com":
      headers: {Authorization: "Bearer ${CDN_TOKEN}"}
      max_requests_per_second: 20
    "*":
      proxy: http://proxy.internal:3128

All sections that match a host apply; where two of them set the same thing, the later one counts.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.fetch.headers import check_header
from imgrelay_dagster.relay.redact import redact

_PATTERN = re.compile(r"[a-z0-9*?._-]+|\[[0-9a-f:.]+\]", re.IGNORECASE)
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


@dataclass(frozen=True, slots=True)
class OriginSettings:
    """The settings for one host; None where the file sets nothing. `repr` shows no value of a header.

    Attributes:
        headers: more headers of its requests; they are never sent to another host.
        user_agent: value of the User-Agent header.
        proxy: URL of an HTTP proxy.
        max_requests_per_second: of the whole run.
        per_host: concurrent requests of the whole run.
        verify: a file with certificate authorities that are trusted beside the usual ones.
        client_certificate: a file with a certificate and its key.
    """

    headers: dict[str, str] = field(default_factory=dict, repr=False)
    user_agent: str | None = None
    proxy: str | None = field(default=None, repr=False)
    max_requests_per_second: float | None = None
    per_host: int | None = None
    verify: str | None = None
    client_certificate: str | None = None


_NAMES = tuple(each.name for each in fields(OriginSettings))


class OriginRules:
    """The sections of a settings file, in order: host pattern and values."""

    def __init__(self, sections: list[tuple[str, dict[str, Any]]] | None = None) -> None:
        self._sections = sections or []
        self._cache: dict[str, OriginSettings] = {}

    def of(self, host: str) -> OriginSettings:
        """The settings for a host name."""
        found = self._cache.get(host)
        if found is None:
            values: dict[str, Any] = {}
            headers: dict[str, str] = {}
            for pattern, section in self._sections:
                if fnmatchcase(host.lower().rstrip("."), pattern):
                    values.update(section)
                    headers.update(section.get("headers", {}))
            found = OriginSettings(**{**values, "headers": headers})
            if len(self._cache) < 10_000:
                self._cache[host] = found
        return found

    def patterns(self) -> list[str]:
        """The host patterns, in order, without `*`."""
        return list(dict.fromkeys(pattern for pattern, _ in self._sections if pattern != "*"))

    def pattern_of(self, host: str) -> str | None:
        """The pattern of the last section that matches a host name; None if none does, or only `*`."""
        found = [each for each, _ in self._sections if each != "*" and fnmatchcase(host.lower().rstrip("."), each)]
        return found[-1] if found else None


def read_origin_settings(path: str | None, variables: Mapping[str, str]) -> OriginRules:
    """Read a settings file.

    Args:
        path: the file; None for no settings.
        variables: the environment, for `${NAME}`.

    Raises:
        RelayError: the file cannot be read or is not valid; the message names file, line and field, and no value of a
            header.
    """
    if path is None:
        return OriginRules()
    try:
        text = Path(path).read_text(encoding="utf-8")
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except (OSError, UnicodeDecodeError) as error:
        raise RelayError(f"origin settings {path!r} cannot be read: {getattr(error, 'strerror', error)}") from None
    except yaml.YAMLError as error:  # its own text quotes the line
        mark = getattr(error, "problem_mark", None)
        raise RelayError(f"origin settings {path!r}, line {mark.line + 1 if mark else 1}: not valid YAML") from None
    return OriginRules(_Reader(path, variables).sections(root))


class _Reader:
    def __init__(self, path: str, variables: Mapping[str, str]) -> None:
        self._path = path
        self._variables = variables

    def sections(self, root: yaml.Node | None) -> list[tuple[str, dict[str, Any]]]:
        if root is None:
            return []
        return [
            (self._pattern(key), self._section(section, str(key.value)))
            for key, section in self._items(root, "the file")
        ]

    def _refuse(self, node: yaml.Node, problem: str) -> RelayError:
        return RelayError(f"origin settings {self._path!r}, line {node.start_mark.line + 1}: {problem}")

    def _items(self, node: yaml.Node, name: str) -> list[tuple[yaml.Node, yaml.Node]]:
        if not isinstance(node, yaml.MappingNode):
            raise self._refuse(node, f"{name} is not a mapping")
        items: list[tuple[yaml.Node, yaml.Node]] = node.value
        return items

    def _pattern(self, key: yaml.Node) -> str:
        if not isinstance(key, yaml.ScalarNode) or not _PATTERN.fullmatch(key.value):
            shown = redact(str(key.value)) if isinstance(key, yaml.ScalarNode) else "a list or mapping"
            raise self._refuse(key, f"{shown!r} is not a host pattern; write a host name, with * for any characters")
        return str(key.value).lower().strip("[]").rstrip(".")

    def _section(self, node: yaml.Node, pattern: str) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key, value in self._items(node, pattern):
            name = str(key.value)
            if name not in _NAMES:
                raise self._refuse(key, f"{name!r} is not a setting; the settings are {', '.join(_NAMES)}")
            values[name] = self._headers(value) if name == "headers" else self._value(name, value)
        return values

    def _headers(self, node: yaml.Node) -> dict[str, str]:
        headers: dict[str, str] = {}
        for key, value in self._items(node, "headers"):
            name, text = str(key.value), self._text(value, f"header {key.value}")
            problem = check_header(name, text)
            if problem:
                raise self._refuse(key, problem)
            headers[name] = text
        return headers

    def _text(self, node: yaml.Node, name: str) -> str:
        if not isinstance(node, yaml.ScalarNode):
            raise self._refuse(node, f"{name} is not a text")

        def insert(variable: re.Match[str]) -> str:
            value = self._variables.get(variable[1])
            if not value:
                raise self._refuse(node, f"{name} names ${{{variable[1]}}}, which is not set in the environment")
            return value

        return _VARIABLE.sub(insert, str(node.value))

    def _value(self, name: str, node: yaml.Node) -> object:
        text = self._text(node, name)
        if name in ("max_requests_per_second", "per_host"):
            return self._number(name, text, node)
        if name in ("verify", "client_certificate"):
            if not Path(text).is_file():
                raise self._refuse(node, f"{name}: there is no file {text!r}")
        elif name == "proxy":
            parts = urlsplit(text)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise self._refuse(node, f"proxy: {redact(text)!r} is not like http://host:3128")
        else:
            problem = check_header("User-Agent", text)
            if problem:
                raise self._refuse(node, problem)
        return text

    def _number(self, name: str, text: str, node: yaml.Node) -> float:
        try:
            number = float(text) if name == "max_requests_per_second" else int(text)
        except ValueError:
            number = 0
        if not 0 < number <= 100_000:
            raise self._refuse(node, f"{name}: {text[:40]!r} is not a number above 0")
        return number
