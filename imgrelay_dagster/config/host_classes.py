"""Classes of hosts, so that failures can be counted by origin without a number for each of many thousand hosts."""

import os
from collections.abc import Callable
from functools import partial

from imgrelay_dagster.config import environment
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.fetch.origin_settings import OriginRules, read_origin_settings
from imgrelay_dagster.relay.results.writer import source_kind


def host_classes() -> Callable[[str], str]:
    """The function that classifies a URL: its host's pattern in `IMGRELAY_ORIGIN_SETTINGS`, else its kind."""
    return partial(_class_of, _rules())


def class_names() -> list[str]:
    """All classes that there are: the kinds of places, and the host patterns."""
    return ["web", "store", "folder", *_rules().patterns()]


def _rules() -> OriginRules:
    """The settings file; without patterns if it is not valid, which fails a run elsewhere."""
    try:
        return read_origin_settings(environment.ORIGIN_SETTINGS.get(), os.environ)
    except RelayError:
        return OriginRules()


def _class_of(rules: OriginRules, url: str) -> str:
    kind, host = source_kind(url)
    return (rules.pattern_of(host) if host else None) or kind
